"""run.json: states, sessions, and that it can be written when nothing else can."""

import json
import os

import pytest

from poke.run.files import read_json
from poke.run.telling import account as accounts
from poke.run.telling.account import AFTER, RESERVE_NAME, Account

SESSION = {"packages": {"torch": "1"}, "pid": 1, "overrides": []}


def stored(run_dir):
    return json.loads((run_dir / "run.json").read_text())


def test_a_run_is_created_runs_and_ends_and_may_go_on(tmp_path):
    account = Account(tmp_path)
    account.create(SESSION, seed=3)
    about = stored(tmp_path)
    assert (about["status"], about["seed"], about["ended"]) == ("created", 3, None)
    account.run({"code": None}, data=None)
    assert stored(tmp_path)["status"] == "running"
    account.end("failed", exit_reason="ValueError", step=7, error="ValueError: x")
    about = stored(tmp_path)
    assert (about["status"], about["error"], about["step"]) == ("failed", "ValueError: x", 7)
    assert about["ended"] > about["started"]
    first = dict(about["sessions"][0])

    again = Account.of(tmp_path)
    again.go_on({**SESSION, "pid": 2}, 5)
    again.end("finished", exit_reason="reached trainer.max_steps", step=9)
    about = stored(tmp_path)
    assert (about["status"], about["error"], about["exit_reason"]) == (
        "finished",
        None,
        "reached trainer.max_steps",
    )
    assert about["sessions"][0] == first  # nothing of an earlier session is overwritten
    second = about["sessions"][1]
    assert (second["from_step"], second["to_step"], second["pid"]) == (5, 9, 2)
    assert second["packages"] is None  # as in the session before
    assert not (tmp_path / RESERVE_NAME).exists()


@pytest.mark.parametrize("status", AFTER)
def test_only_what_may_follow_a_state_follows_it(tmp_path, status):
    for after in ("created", "running", "finished", "failed", "interrupted"):
        account = Account(tmp_path, {"status": status, "sessions": []})
        if after in AFTER[status]:
            account._enter(after)
            continue
        with pytest.raises(AssertionError):
            account._enter(after)


def test_a_full_disk_does_not_keep_a_run_from_saying_how_it_ended(tmp_path, monkeypatch):
    account = Account(tmp_path)
    account.create(SESSION)
    account.run({})
    assert (tmp_path / RESERVE_NAME).stat().st_size == accounts.RESERVE_BYTES
    write_json = accounts.write_json

    def full_while_the_reserve_is_there(path, value):
        if (tmp_path / RESERVE_NAME).exists():
            raise OSError(28, "No space left on device")
        write_json(path, value)

    monkeypatch.setattr(accounts, "write_json", full_while_the_reserve_is_there)
    account.end("failed", exit_reason="OSError", step=3)
    assert stored(tmp_path)["status"] == "failed"
    assert sorted(os.listdir(tmp_path)) == ["run.json"]


def test_an_account_of_the_older_form_is_read_as_sessions(tmp_path):
    old = {
        "schema_version": 1, "name": "a/b", "status": "finished", "started": "t0", "ended": "t2",
        "host": "h", "pid": 4, "cwd": "/w", "python": "3", "platform": "p", "executable": "e",
        "packages": {"torch": "1"}, "git": {"commit": "c", "branch": "b", "dirty": False},
        "command": ["python"], "overrides": ["seed=1"], "seed": 1, "device": "cpu", "parent": None,
        "init_from": "outputs/x", "exact_resume": True, "step": 20, "epoch": 1, "final": {"a": 1.0},
        "best": None, "error": None, "exit_reason": "reached trainer.max_steps",
        "resumes": [{"time": "t1", "step": 10, "checkpoint": "checkpoints/c.pt", "overrides": ["x=1"],
                     "command": ["again"]}],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(old))
    account = Account.of(tmp_path)
    first, second = account.sessions
    assert (first["started"], first["command"], first["code"]["commit"]) == ("t0", ["python"], "c")
    assert (first["to_step"], first["exit_reason"]) == (None, "not recorded")
    assert (second["from_step"], second["to_step"], second["pid"], second["ended"]) == (
        10,
        20,
        4,
        "t2",
    )
    assert account.values["parent"]["how"] == "init_from"
    assert account.folders[0] == "/w"
    account.go_on(SESSION, 20)
    assert len(stored(tmp_path)["sessions"]) == 3
    assert stored(tmp_path)["final"] == {"a": 1.0}


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_lost_account_is_begun_anew_by_the_next_process(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    account = Account.of(tmp_path)
    account.go_on(SESSION, 4)
    assert read_json(tmp_path / "run.json")["sessions"][0]["from_step"] == 4


def test_the_name_of_a_moved_run_follows(tmp_path):
    (tmp_path / "a").mkdir()
    Account(tmp_path / "a").create(SESSION)
    (tmp_path / "a").rename(tmp_path / "b")
    Account.of(tmp_path / "b").go_on(SESSION, 0)
    assert stored(tmp_path / "b")["name"] == f"{tmp_path.name}/b"
