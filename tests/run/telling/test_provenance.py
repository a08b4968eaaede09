"""Which code a session ran: commits, differences, and files that git does not know."""

import subprocess
import sys

import pytest

from poke.run.telling import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    path = tmp_path / "repository"
    path.mkdir()
    monkeypatch.chdir(path)
    git(path, "init", "-q")
    (path / "tracked.py").write_text("a = 1\n")
    git(path, "add", "tracked.py")
    git(path, "commit", "-qm", "one")
    return path


def git(where, *arguments):
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def imported(monkeypatch, path, name):
    """Import a file as a user's module."""
    monkeypatch.syspath_prepend(str(path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    __import__(name)


def test_the_commit_and_what_differs_from_it_are_kept(repository, tmp_path):
    about = provenance.user_code(tmp_path, 1)
    assert about["commit"] == git(repository, "rev-parse", "HEAD")
    assert (about["dirty"], about["diff"]) == (False, None)
    (repository / "tracked.py").write_text("a = 2\n")
    about = provenance.user_code(tmp_path, 1)
    assert (about["dirty"], about["diff"]) == (True, "git.diff")
    assert "+a = 2" in (tmp_path / "git.diff").read_text()


def test_a_later_session_overwrites_nothing(repository, tmp_path):
    (repository / "tracked.py").write_text("a = 2\n")
    provenance.user_code(tmp_path, 1)
    (repository / "tracked.py").write_text("a = 3\n")
    assert provenance.user_code(tmp_path, 2)["diff"] == "git.2.diff"
    assert "+a = 2" in (tmp_path / "git.diff").read_text()
    assert "+a = 3" in (tmp_path / "git.2.diff").read_text()


def test_imported_files_that_git_does_not_track_are_kept(repository, tmp_path, monkeypatch):
    (repository / "own_algorithm.py").write_text("b = 1\n")
    (repository / "never_imported.py").write_text("c = 1\n")
    imported(monkeypatch, repository, "own_algorithm")
    imported(monkeypatch, repository, "tracked")
    about = provenance.user_code(tmp_path, 1)
    assert "own_algorithm.py" in about["untracked"]
    assert "tracked.py" not in about["untracked"]
    assert "never_imported.py" not in about["untracked"]
    assert (tmp_path / "code" / "own_algorithm.py").read_text() == "b = 1\n"
    git(repository, "add", "own_algorithm.py")
    assert "own_algorithm.py" not in provenance.user_code(tmp_path, 2)["untracked"]


def test_a_file_of_ones_own_that_is_linked_among_packages_is_kept(
    repository, tmp_path, monkeypatch
):
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.setattr(provenance.site, "getsitepackages", lambda: [str(packages)])
    (packages / "somebodys_module.py").write_text("a = 1\n")
    (repository / "linked_module.py").write_text("b = 1\n")
    (packages / "linked_module.py").symlink_to(repository / "linked_module.py")
    imported(monkeypatch, packages, "linked_module")
    imported(monkeypatch, packages, "somebodys_module")
    untracked = provenance.user_code(tmp_path, 1)["untracked"]
    assert "linked_module.py" in untracked
    assert "somebodys_module.py" not in untracked


def test_no_more_than_a_megabyte_of_files_is_kept(repository, tmp_path, monkeypatch):
    (repository / "large_module.py").write_text("#" * (provenance.MAX_CODE_BYTES + 1))
    imported(monkeypatch, repository, "large_module")
    about = provenance.user_code(tmp_path, 1)
    assert "large_module.py" in about["untracked"]
    assert not (tmp_path / "code" / "large_module.py").exists()


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(provenance, "_imported_files", list)
    assert provenance.user_code(tmp_path, 1) is None


def test_pokes_version_and_torchs_are_what_they_say_themselves():
    import torch

    import poke

    assert provenance.poke_itself()["version"] == poke.__version__
    assert provenance.packages()["torch"] == torch.__version__


def test_what_customises_the_interpreter_is_nobodys_code(repository, tmp_path, monkeypatch):
    (repository / "sitecustomize.py").write_text("b = 1\n")
    imported(monkeypatch, repository, "sitecustomize")
    untracked = provenance.user_code(tmp_path, 1)["untracked"]
    assert not [path for path in untracked if path.endswith("sitecustomize.py")]
