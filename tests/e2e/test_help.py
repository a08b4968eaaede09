"""Every page of `--help` fits a screen of 80 columns and 24 lines, and every option stands on one."""

import os
import re
from pathlib import Path

import pytest

import poke

ROOT = Path(poke.__file__).parent
DOORS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in ROOT.rglob("*.py")
    if '__name__ == "__main__"' in path.read_text() and path != ROOT / "__main__.py"
} - {"run.following"}  # what a run starts its other processes with
# What stands before or after --help besides nothing.
PAGES = {
    "train": ["--help knobs"],
    "record": ["--help policy", "--help replays"],
    "play": ["--help server", "league --help"],
    "compare": [f"{command} --help" for command in ("diff", "show", "lineage", "report", "watch")],
    "checkpoints": [f"{command} --help" for command in ("list", "verify", "prune")],
    "envs.showdown": ["install --help", "where --help", "observe --help"],
}
ALL = [(door, page) for door in sorted(DOORS) for page in ("--help", *PAGES.get(door, ()))]


@pytest.fixture
def helped(tmp_path, zygote):
    """Return a page of a command's help."""

    def ask(door, page):
        env = {**os.environ, "COLUMNS": "80", "LINES": "24"}
        done = zygote.run("-m", f"poke.{door}", *page.split(), cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ask


@pytest.mark.parametrize(("door", "page"), ALL)
def test_a_page_fits_a_screen(helped, door, page):
    lines = helped(door, page).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert len(set(ALL)) > len(PAGES) == len(DOORS & set(PAGES))


@pytest.mark.parametrize("door", sorted(DOORS - {"train", "record"}))
def test_every_option_stands_on_a_page(helped, door):
    source = (ROOT / door.replace(".", "/")).with_suffix(".py")
    source = source if source.exists() else ROOT / door.replace(".", "/") / "__main__.py"
    text = source.read_text()
    if door == "compare":
        text = (ROOT / "comparison" / "command_line.py").read_text()
    options = set(re.findall(r'"(--[a-z-]+)"', text)) - {"--help"}
    said = "".join(helped(door, page) for page in ("--help", *PAGES.get(door, ())))
    assert [option for option in sorted(options) if option not in said] == []


def test_train_explains_every_knob_that_it_names(helped):
    named = set(re.findall(r"\s([\w.]+)=", helped("train", "--help").partition("Main knobs")[2]))
    explained = set(re.findall(r"^  ([\w.]+)=", helped("train", "--help knobs"), re.MULTILINE))
    assert {name for name in named if name not in ("algo", "trainer.max_steps")} <= explained
    for group in ("algo=awr | bc |", "env=", "network=", "experiment=", "eval="):
        assert group in helped("train", "--help")
