"""Run directories for tests, written exactly as the runner writes them."""

import contextlib
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write_run(
    root: Path,
    name: str,
    config: dict | None = None,
    rows: list[dict] | None = None,
    *,
    status: str = "finished",
    seed: int = 0,
    age_seconds: float = 60.0,
    **record,
) -> Path:
    """Write a run directory; ``rows`` are dicts with step and full metric names."""
    directory = root / name
    directory.mkdir(parents=True)
    config = {"seed": seed, **({"algo": {"lr": 1e-3, "name": "bc"}} if config is None else config)}
    rows = (
        [{"step": step, "val/loss": 2.0 - step / 1000 + seed / 100} for step in (0, 500, 1000)]
        if rows is None
        else rows
    )
    (directory / "config.json").write_text(json.dumps(config))
    account = {
        "schema_version": 2,
        "name": name,
        "status": status,
        "started": START.isoformat(),
        "ended": (START + timedelta(hours=1)).isoformat(),
        "seed": seed,
        "device": "cpu",
        "parent": None,
        "data": None,
        "final": {},
        "best": None,
        "step": rows[-1]["step"] if rows else 0,
        "epoch": 1,
        "error": None,
        "exit_reason": "reached max_steps",
        "exact_resume": True,
        "overrides": [],
        "sessions": [session(cwd=str(root))],
    } | record
    (directory / "run.json").write_text(json.dumps(account))
    write_metrics(directory / "metrics.csv", rows)
    settle(directory, age_seconds)
    return directory


def session(**fields) -> dict:
    """What a process writes of itself into the run's account."""
    return {
        "started": START.isoformat(),
        "ended": (START + timedelta(hours=1)).isoformat(),
        "from_step": 0,
        "to_step": 1000,
        "command": ["python", "-m", "poke.train"],
        "overrides": [],
        "changed": {},
        "checkpoint": None,
        "accepted_data": None,
        "host": "elsewhere",
        "pid": 1,
        "cwd": "/nowhere",
        "python": "3.11.7",
        "platform": "Linux",
        "executable": "/usr/bin/python3",
        "packages": {"torch": "2.13.0"},
        "torch": "2.13.0+cpu",
        "poke": {"version": "0.1.0", "commit": "b" * 40, "dirty": False},
        "code": {
            "commit": "a" * 40,
            "branch": "main",
            "dirty": False,
            "diff": None,
            "untracked": [],
            "kept_in": None,
        },
        "exit_reason": "reached max_steps",
    } | fields


def write_old_run(root: Path, name: str, **fields) -> Path:
    """Write a run directory whose account is of schema version 1."""
    directory = write_run(root, name)
    account = {
        "schema_version": 1,
        "name": name,
        "status": "finished",
        "started": START.isoformat(),
        "ended": (START + timedelta(hours=1)).isoformat(),
        "command": ["python", "-m", "poke.train"],
        "overrides": [],
        "cwd": str(root),
        "host": "elsewhere",
        "pid": 1,
        "python": "3.11.7",
        "packages": {"torch": "2.13.0"},
        "git": {"commit": "a" * 40, "branch": "main", "dirty": False},
        "seed": 0,
        "device": "cpu",
        "parent": None,
        "init_from": None,
        "resumes": [],
        "exact_resume": True,
        "step": 1000,
        "epoch": 1,
        "final": {},
        "best": None,
        "error": None,
        "exit_reason": "reached max_steps",
    } | fields
    (directory / "run.json").write_text(json.dumps(account))
    return directory


def write_metrics(path: Path, rows: list[dict]) -> None:
    """Write rows as the CSV writer does: empty cells where a row lacks a column."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != "step"))
    lines = [",".join(["step", "time", *names])]
    for row in rows:
        stamp = (START + timedelta(seconds=row["step"])).isoformat()
        cells = [repr(row[name]) if name in row else "" for name in names]
        lines.append(",".join([str(row["step"]), stamp, *cells]))
    path.write_text("\n".join(lines) + "\n")


def settle(directory: Path, age_seconds: float = 60.0) -> None:
    """Make a run's files look as old as those of a run that ended a while ago."""
    then = time.time() - age_seconds
    for path in directory.iterdir():
        os.utime(path, (then, then))


@pytest.fixture(name="write_run")
def _write_run():
    return write_run


@pytest.fixture(name="write_old_run")
def _write_old_run():
    return write_old_run


@pytest.fixture(name="session")
def _session():
    return session


@pytest.fixture
def hold():
    """Hold a run directory's lock until the test ends, as the process that works on the run does."""
    with contextlib.ExitStack() as stack:
        yield lambda directory: stack.enter_context(FileLock(directory / ".lock"))


@pytest.fixture(name="write_metrics")
def _write_metrics():
    return write_metrics


@pytest.fixture
def sweep(tmp_path):
    """Two learning rates with four seeds each, one failed run and one stale run."""
    root = tmp_path / "outputs"
    for lr, offset in ((1e-3, 0.0), (1e-4, 0.5)):
        for seed in range(4):
            values = [2.0 + offset, 1.0 + offset - 0.01 * seed, 1.2 + offset + 0.01 * seed]
            rows = [{"step": 500 * place, "val/loss": value} for place, value in enumerate(values)]
            config = {"algo": {"lr": lr, "name": "bc"}, "trainer": {"max_steps": 1000}}
            write_run(root, f"lr{lr}/seed{seed}", config, rows, seed=seed)
    config = {"algo": {"lr": 1e-3, "name": "bc"}, "trainer": {"max_steps": 1000}}
    rows = [{"step": 0, "val/loss": 0.001}]
    write_run(root, "broken", config, rows, seed=9, status="failed", error="loss is nan at step 1")
    write_run(root, "vanished", config, rows, seed=8, status="running", age_seconds=90000)
    return root
