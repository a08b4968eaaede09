"""Are two runs the same, bit for bit, times and machine aside?"""

import csv
import signal
from pathlib import Path

from poke.run.afterwards.replay import differences
from poke.training.checkpointing import CheckpointManager
from poke.verify import main as verify

from .conftest import account, checkpoints, wait_for


def rows(run_dir) -> list[dict[str, str]]:
    """The rows of metrics.csv without what depends on the clock or the machine."""
    with open(Path(run_dir) / "metrics.csv", newline="", encoding="utf-8") as file:
        kept = [
            {k: v for k, v in row.items() if v and k.split("/")[0] not in ("time", "system")}
            for row in csv.DictReader(file)
        ]
    return [row for row in kept if row.keys() - {"step"}]


def last_state(run_dir) -> dict:
    """What the newest checkpoint holds of training."""
    manager = CheckpointManager(Path(run_dir) / "checkpoints", open_now=False)
    checkpoint = manager.load(max(checkpoints(run_dir).items())[1])
    names = ("policy", "algorithm", "source", "trainer")
    return {
        **{name: checkpoint.components[name] for name in names},
        "random_states": checkpoint.random_states,
    }


def assert_same_run(run_dir, reference) -> None:
    assert [d.where for d in differences(last_state(reference), last_state(run_dir))] == []
    assert rows(run_dir) == rows(reference)


def assert_same_rest(run_dir, reference, step) -> None:
    """As `assert_same_run` from a step on; a window that was open at that step is written by both."""
    assert [d.where for d in differences(last_state(reference), last_state(run_dir))] == []
    ours, theirs = rows(run_dir), rows(reference)
    assert [r for r in ours if int(r["step"]) > step] == [
        r for r in theirs if int(r["step"]) > step
    ]
    assert all(row in theirs for row in ours)


def assert_a_killed_run_goes_on(poke, overrides, capsys) -> None:
    """Kill a run where it has some checkpoints, resume it, compare it with one that nothing happened to, replay it."""
    process = poke.start(*overrides, "hydra.run.dir=run")
    wait_for(lambda: len(checkpoints(poke.cwd / "run")) > 2, process, seconds=300)
    process.signal(signal.SIGKILL)
    process.wait()
    poke("resume=run")
    poke(*overrides, "hydra.run.dir=whole")
    assert_same_run(poke.cwd / "run", poke.cwd / "whole")
    assert account(poke.cwd / "run")["exact_resume"]
    assert verify([str(poke.cwd / "run")]) == 0
    assert "bit-equal" in capsys.readouterr().out
