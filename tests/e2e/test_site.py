"""The documentation's site: it builds, its links lead somewhere, it asks nobody else, and it leaves nothing out."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from poke.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]


def build(root, folder):
    """Build the site as `make docs` does; not quietly, which would keep warnings from being counted as well."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.mark.slow
def test_links_that_lead_nowhere_fail_it(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("mkdocs.yml", "src", "conf", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    dead = ("guides/nowhere.md", "guides/train.md#nothing", "images/none.png")
    with open(tmp_path / "docs" / "index.md", "a") as page:
        page.writelines(f"\nSee [there]({link}).\n" for link in dead)
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    warnings = [line for line in done.stdout.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == len(dead), done.stdout
    assert all(link.rpartition("/")[2] in done.stdout for link in dead)


class Links(HTMLParser):
    """What a page has a browser fetch, and where its links lead."""

    def __init__(self):
        super().__init__()
        self.fetched, self.leads_to = [], []

    def handle_starttag(self, tag, attrs):
        at = dict(attrs)
        if tag in ("script", "img", "iframe") and "src" in at:
            self.fetched.append(at["src"])
        if tag == "link" and at.get("rel") in ("stylesheet", "icon", "preload"):
            self.fetched.append(at["href"])
        if tag == "a" and "href" in at:
            self.leads_to.append(at["href"])


def test_no_page_asks_another_host_for_anything(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        links = Links()
        links.feed(page.read_text())
        away = [place for place in links.fetched if re.match(r"(https?:)?//", place)]
        assert away == [], page


def test_every_knob_has_a_meaning(site):
    text = (site / "reference" / "knobs" / "index.html").read_text()
    rows = re.findall(r"<tr>\s*(.*?)\s*</tr>", text, re.DOTALL)
    cells = [
        [re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
        for row in rows
    ]
    knobs = [row for row in cells if row]
    assert len(knobs) > 300
    assert [row[0] for row in knobs if not row[-1].strip()] == []


def test_every_value_of_every_option_is_on_the_page_of_knobs(site):
    text = (site / "reference" / "knobs" / "index.html").read_text()
    for file in sorted((ROOT / "conf").glob("[!h]*/*.yaml")):
        group = file.parent.name
        assert f"{group}={file.stem}" in text
        node = yaml.safe_load(file.read_text()) or {}
        own = node.get(group, {}) if "@package _global_" in file.read_text() else node
        missing = [
            k for k in own if k not in ("defaults", "_target_") and f"{group}.{k}" not in text
        ]
        assert missing == [], file


def test_every_command_is_there(site):
    text = (site / "reference" / "commands" / "index.html").read_text()
    assert [name for name in COMMANDS if f"python -m poke.{name}</code>" not in text] == []


def test_everything_measured_is_there(site):
    text = (site / "benchmarks" / "index.html").read_text()
    files = sorted((ROOT / "benchmarks" / "results").iterdir())
    assert [file.name for file in files if f'id="{file.stem}"' not in text] == []
    assert [file.name for file in files if "python " not in file.read_text()[:800]] == []


def test_the_guides_table_of_truth_is_what_was_measured():
    def rows(place):
        return re.findall(r"^\| \d \| (?:random|fuzzed) \|.*$", (ROOT / place).read_text(), re.M)

    measured = rows("benchmarks/results/showdown_truth.md")
    assert len(measured) == 18
    assert rows("docs/guides/battles.md") == measured


def test_the_links_of_readme_and_others_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        places = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text())
        assert [place for place in places if not (ROOT / place).exists()] == [], name
