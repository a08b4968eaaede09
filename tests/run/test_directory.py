import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from poke.run.directory import (
    RunDirectory,
    RunDirectoryError,
    create_run_directory,
    holds_a_run,
    is_held,
    locate_run,
)
from poke.run.files import write_json


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
        write_json(tmp_path / "run.json", {"sessions": [{"pid": os.getpid(), "host": "here"}]})
        assert is_held(tmp_path)
        process = context.Process(target=_try_to_hold, args=(tmp_path, answers))
        process.start()
        answer = answers.get(timeout=60)
        process.join()
    assert answer == f"{tmp_path} is in use by process {os.getpid()} on here"
    assert not is_held(tmp_path)
    _try_to_hold(tmp_path, answers)
    assert answers.get(timeout=60) == "held"


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


def test_a_directory_with_a_run_is_refused_for_a_new_one_and_not_touched(tmp_path):
    for sign in ("run.json", "metrics.csv", "checkpoints"):
        path = tmp_path / sign
        path.mkdir()
        (path / sign).mkdir() if sign == "checkpoints" else (path / sign).write_text("")
        with (
            pytest.raises(RunDirectoryError, match=f"holds a run already: resume={path} goes on"),
            RunDirectory(path).claimed(),
        ):
            raise AssertionError
        assert [p.name for p in path.iterdir()] == [sign]


def test_a_directory_with_anything_else_in_it_is_free(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with RunDirectory(tmp_path).claimed(), RunDirectory(tmp_path / "new" / "run").claimed():
        assert is_held(tmp_path)
    assert not holds_a_run(tmp_path)


def test_places_that_cannot_be_used_are_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(RunDirectoryError, match="cannot be made") as refused,
            RunDirectory(path).claimed(),
        ):
            raise AssertionError
        assert "\n" not in str(refused.value)
    with pytest.raises(RunDirectoryError, match="cannot be made"):
        create_run_directory(tmp_path / "file")
    (tmp_path / "run" / ".lock").mkdir(parents=True)
    with (
        pytest.raises(RunDirectoryError, match="lock cannot be used"),
        RunDirectory(tmp_path / "run").held(),
    ):
        raise AssertionError
