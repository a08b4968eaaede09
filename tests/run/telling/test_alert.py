"""logger.alert.command: what it is told, and that it costs a run nothing."""

import json
import logging
import shlex
import sys

import pytest

from poke.run.telling.alert import Alert

ENDED = {"status": "failed", "exit_reason": "OSError", "error": "OSError: the 'cause'", "step": 7}


def writing_to(path):
    """A command that appends what it was told to a file."""
    program = (
        "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if 'POKE_' in k}))"
    )
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} >> {shlex.quote(str(path))}"


def told(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_is_told_how_a_run_ended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Alert(writing_to(tmp_path / "out"), tmp_path.relative_to(tmp_path)).ended(ENDED)
    assert told(tmp_path / "out") == [
        {
            "POKE_RUN_DIR": str(tmp_path),
            "POKE_STATUS": "failed",
            "POKE_REASON": "OSError",
            "POKE_ERROR": "OSError: the 'cause'",
            "POKE_STEP": "7",
        }
    ]


def test_it_is_told_of_the_first_nan_and_then_of_the_end(tmp_path):
    alert = Alert(writing_to(tmp_path / "out"), tmp_path)
    alert.nonfinite("train/loss", 3)
    alert.nonfinite("train/other", 4)
    alert.ended({"status": "finished", "step": 9})
    found = sorted(
        (t["POKE_STATUS"], t["POKE_STEP"], t["POKE_ERROR"]) for t in told(tmp_path / "out")
    )
    assert found == [("finished", "9", ""), ("running", "3", "train/loss is NaN or infinite")]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("exit 3", "logger.alert.command ended with exit status 3"),
        (
            "exec sleep 600",
            "logger.alert.command goes on by itself: it took more than 0.05 seconds",
        ),
        ("a\0b", "logger.alert.command could not be run: embedded null byte"),
    ],
)
def test_one_that_fails_or_hangs_costs_one_line(tmp_path, caplog, command, line, monkeypatch):
    caplog.set_level(logging.INFO, "poke")
    monkeypatch.setattr(logging.getLogger("poke"), "propagate", True)
    started = []
    alert = Alert(command, tmp_path, wait_seconds=0.05 if "sleep" in command else 60)
    start = alert._start
    monkeypatch.setattr(alert, "_start", lambda facts: started.append(start(facts)) or started[-1])
    alert.ended(ENDED)
    assert caplog.messages == [line]
    if "sleep" in command:
        started[0].kill()


def test_without_a_command_nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    alert = Alert(None, tmp_path)
    alert.nonfinite("train/loss", 3)
    alert.ended(ENDED)
