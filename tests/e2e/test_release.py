"""What `make release` refuses before it builds anything, and what it builds."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

RELEASE = Path(__file__).parents[2] / ".ci" / "release"
AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.fixture
def git(tmp_path):
    """A repository with a version that can be released; runs git in it."""
    if not RELEASE.exists():
        pytest.skip("needs a clone of the repository")

    def run(*arguments):
        done = subprocess.run(
            ["git", *AUTHOR, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout

    (tmp_path / ".ci").mkdir()
    shutil.copy(RELEASE, tmp_path / ".ci" / "release")
    (tmp_path / "src" / "poke").mkdir(parents=True)
    (tmp_path / "src" / "poke" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3\n\n- new\n\n## 1.2.2\n")
    run("init", "-q")
    run("add", ".")
    run("commit", "-q", "-m", "all")
    return run


def refused(folder):
    done = subprocess.run([folder / ".ci" / "release"], capture_output=True, text=True)
    assert done.returncode != 0
    return done.stderr


def test_a_dirty_tree_is_refused(git, tmp_path):
    (tmp_path / "new.txt").touch()
    assert refused(tmp_path).startswith("release: the tree is dirty")
    assert git("tag") == ""


def test_a_version_that_the_changelog_does_not_head_is_refused(git, tmp_path):
    log = tmp_path / "CHANGELOG.md"
    log.write_text(log.read_text().replace("## 1.2.3", "## Unreleased\n\n## 1.2.3"))
    git("commit", "-q", "-a", "-m", "more")
    said = "release: CHANGELOG.md begins with 'Unreleased', poke.__version__ is 1.2.3\n"
    assert refused(tmp_path) == said
    assert git("tag") == ""


def test_a_version_that_is_tagged_is_refused(git, tmp_path):
    git("tag", "v1.2.3")
    assert refused(tmp_path) == "release: there is a tag v1.2.3 already\n"


def test_what_cannot_be_built_is_not_tagged(git, tmp_path):
    assert ".venv/bin/python" in refused(tmp_path)
    assert git("tag") == ""


def test_the_sdist_holds_all_that_is_tracked_but_for_what_only_a_clone_uses(tmp_path):
    root = RELEASE.parents[1]
    if not (root / ".git").exists():
        pytest.skip("needs a clone of the repository")
    listed = subprocess.check_output(["git", "ls-files"], cwd=root, text=True).splitlines()
    tracked = {name for name in listed if (root / name).exists()}
    only = (".github/", ".pre-commit-config.yaml", "outputs/", "multirun/")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in tracked if not name.startswith(only)} == held - {"PKG-INFO"}
