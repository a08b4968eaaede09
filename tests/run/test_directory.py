import json
import multiprocessing
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from poke.run.directory import (
    RunDirectory,
    RunDirectoryError,
    create_run_directory,
    locate_run,
    read_json,
    write_json,
)


def test_directories_made_at_once_are_all_different(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: create_run_directory(tmp_path), range(300)))
    assert len(set(made)) == 300
    assert all(path.is_dir() for path in made)


def test_a_taken_name_is_never_shared(tmp_path, monkeypatch):
    names = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(names))
    first, second = create_run_directory(tmp_path), create_run_directory(tmp_path)
    assert (first.name[-4:], second.name[-4:]) == ("aaaa", "bbbb")


def _try_to_hold(path, answers):
    try:
        with RunDirectory(path).held():
            answers.put("held")
    except RunDirectoryError as error:
        answers.put(str(error))


def test_a_second_process_is_told_who_holds_the_directory(tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    directory = RunDirectory(tmp_path)
    with directory.held():
        directory.begin({}, "", command=[])
        process = context.Process(target=_try_to_hold, args=(tmp_path, answers))
        process.start()
        answer = answers.get(timeout=60)
        process.join()
    assert answer.startswith(f"{tmp_path} is in use by process {os.getpid()} on ")
    _try_to_hold(tmp_path, answers)
    assert answers.get(timeout=60) == "held"


def test_the_account_is_complete_at_every_stage(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.begin({"seed": 3}, "seed: 3\n", command=["python"], seed=3)
    begun = json.loads((tmp_path / "run.json").read_text())
    assert (begun["status"], begun["seed"], begun["ended"]) == ("running", 3, None)
    assert begun["packages"]["torch"]
    assert (tmp_path / "config.yaml").read_text() == "seed: 3\n"
    directory.end("failed", error="ValueError: x")
    ended = json.loads((tmp_path / "run.json").read_text())
    assert (ended["status"], ended["error"]) == ("failed", "ValueError: x")
    assert ended["ended"] > ended["started"] == begun["started"]

    again = RunDirectory(tmp_path)
    again.begin_again({"seed": 3}, "seed: 3\n", {"step": 7})
    resumed = json.loads((tmp_path / "run.json").read_text())
    assert (resumed["status"], resumed["error"], resumed["ended"]) == ("running", None, None)
    assert [r["step"] for r in resumed["resumes"]] == [7]


def test_the_commit_and_what_differs_from_it_are_kept(tmp_path, monkeypatch):
    repository, run_dir = tmp_path / "repository", tmp_path / "run"
    for path in (repository, run_dir):
        path.mkdir()

    def git(*arguments):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=repository,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    git("init", "-q")
    (repository / "code.py").write_text("a = 1\n")
    git("add", "code.py")
    git("commit", "-qm", "one")
    monkeypatch.chdir(repository)
    RunDirectory(run_dir).begin({}, "")
    about = read_json(run_dir / "run.json")["git"]
    assert about["commit"] == git("rev-parse", "HEAD")
    assert about["dirty"] is False
    assert not (run_dir / "git.diff").exists()
    (repository / "code.py").write_text("a = 2\n")
    RunDirectory(run_dir).begin({}, "")
    assert read_json(run_dir / "run.json")["git"]["dirty"] is True
    assert "+a = 2" in (run_dir / "git.diff").read_text()


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    RunDirectory(tmp_path).begin({}, "")
    assert read_json(tmp_path / "run.json")["git"] is None


def test_json_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}


def test_a_reader_keeps_the_whole_file_it_opened(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with open(path) as reader:
        write_json(path, {"a": 2})
        assert json.load(reader) == {"a": 1}
    assert read_json(path) == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_damaged_json_reads_as_none(tmp_path):
    for text in ("", "{", "[1]", "\x00"):
        (tmp_path / "a.json").write_text(text)
        assert read_json(tmp_path / "a.json") is None


def test_a_run_is_found_by_its_directory_or_a_checkpoint_of_its(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text("")
    file = tmp_path / "checkpoints" / "best.pt"
    file.write_text("")
    assert locate_run(str(tmp_path)) == (tmp_path, None)
    assert locate_run(str(file)) == (tmp_path, file)
    for wrong, line in [("nowhere", "does not exist"), ("config.yaml", "is no checkpoint inside")]:
        with pytest.raises(RunDirectoryError, match=line):
            locate_run(str(tmp_path / wrong))
