"""`python -m poke.record`: compose the config, validate it, record. Imports no torch."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.config.validation import validate_recording

if TYPE_CHECKING:
    from poke.envs.showdown.recording import Progress

HELP = """\
Record demonstrations: an expert battles opponents on a local server, into one Parquet file.

  python -m poke.record out=FILE [key=value ...]

A recording that was stopped goes on when the same command is given again; with a larger battles=
a finished one grows.

Knobs
  env=showdown                 where battles are played
  format=gen1randombattle      a random battle format, gen1 to gen9
  battles=1000                 in all, those of earlier sessions included
  expert=simple_heuristics     simple_heuristics, max_base_power or random
  opponents=[random,...]       played in turn; where the expert meets itself both sides are recorded
  out=FILE                     the file; FILE.parts holds what is recorded until it is whole
  seed=0                       of the players' random choices; teams and dice are the server's
  concurrency=10               battles at a time

A trained policy is recorded in the environment of its run
  env=cartpole policy=RUN_DIR  by its most probable actions
  episodes=100                 in all

Once before the first recording of battles
  pip install 'poke[showdown]'
  python -m poke.envs.showdown install

Examples
  python -m poke.record out=data/gen1.parquet battles=2400
  python -m poke.record env=cartpole policy=outputs/2026-01-31/12-00-00-a1b2 out=data/cartpole.parquet
  python -m poke.record format=gen9randombattle battles=500 opponents=[random] out=data/gen9.parquet
"""
_PRINT_SECONDS = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        The exit status: 0 recorded, 1 failed, 2 mistyped, 128 + N after signal N.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    return composing.answer(lambda: _main(given))


def _main(argv: list[str]) -> int:
    if {"-h", "--help"} & set(argv):
        print(HELP, end="")
        return 0
    composed = composing.to_plain(composing.compose("record", argv))
    validate_recording(composed)
    if composed["policy"] is not None:
        return _record_policy(composed)
    try:
        from poke.data.trajectories import DataError
        from poke.envs.showdown.installation import ShowdownError

        recorder = instantiate(
            composed["env"],
            **{k: composed[k] for k in ("format", "expert", "opponents", "seed", "concurrency")},
        )
    except ImportError as error:
        return _fail(f"recording needs {error.name}: pip install 'poke[showdown]'")
    out, battles = composed["out"], composed["battles"]
    try:
        with _stops(recorder.stop) as signals, _shown(battles) as show:
            complete = recorder.record(out, battles, on_progress=show)
    except (ShowdownError, DataError, OSError) as error:
        return _fail(str(error))
    if not complete:
        print("stopped; what is recorded is kept: the same command goes on from there")
        return 128 + signals[0]
    print(f"{out} holds {battles} battles")
    return 0


def _record_policy(composed: dict[str, Any]) -> int:
    """Record a trained policy in the environment it was trained in."""
    from poke.data import trajectories
    from poke.envs.episodes import record_episodes
    from poke.run.account import read_config
    from poke.run.experiment import Agent
    from poke.training.checkpointing import CheckpointError

    run_dir = Path(composed["policy"])
    plain = read_config(run_dir)
    ids = [(node["env"] or {}).get("id") for node in (plain, composed)]
    if ids[0] != ids[1]:
        raise ConfigError(f"policy={run_dir} plays {ids[0]}, env is {ids[1]}")
    agent = Agent(plain)
    try:
        agent.load(run_dir)
    except CheckpointError as error:
        return _fail(str(error))
    environment = agent.environment
    assert environment is not None  # its id is the composed env's
    recorded = record_episodes(
        environment.make_evaluation(min(8, composed["episodes"])),
        agent.algorithm.policy,
        num_episodes=composed["episodes"],
        seed=composed["seed"],
        metadata={
            "env": ids[0],
            "policy": str(run_dir),
            "seed": composed["seed"],
        },
    )
    trajectories.write(composed["out"], recorded)
    mean = float(recorded.reward.sum()) / recorded.num_episodes
    print(
        f"{composed['out']} holds {recorded.num_episodes} episodes with a mean return of {mean:.6g}"
    )
    return 0


def _fail(message: str) -> int:
    print(f"poke: {message}", file=sys.stderr)
    return 1


@contextmanager
def _stops(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Let the first SIGINT or SIGTERM stop cleanly and a second one at once; yield those seen."""
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        for caught, handler in before.items():
            signal.signal(caught, handler)
        stop()

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(total: int) -> Iterator[Callable[[Progress], None]]:
    """Yield what shows progress: a bar on a terminal, elsewhere a line every ten seconds."""
    if sys.stderr.isatty():
        with _bar(total) as show:
            yield show
    else:
        yield _lines(total)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("battles"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("battles", total=total, note="")
        yield lambda p: bar.update(task, completed=p.battles, note=_note(p))


def _lines(total: int) -> Callable[[Progress], None]:
    """Return what prints a line at the start, after the first battle, in between and at the end."""
    begun = printed = time.monotonic()
    before: int | None = None

    def show(progress: Progress) -> None:
        nonlocal printed, before
        now = time.monotonic()
        new = 0 if before is None else progress.battles - before
        before = progress.battles if before is None else before
        if new <= 1 or progress.battles == total or now - printed >= _PRINT_SECONDS:
            printed = now
            rate = new / max(now - begun, 1e-9)
            line = f"{progress.battles}/{total} battles, {rate:.1f}/s, {_note(progress)}"
            print(line, file=sys.stderr, flush=True)

    return show


def _note(progress: Progress) -> str:
    note = f"{progress.decisions} decisions"
    if progress.dropped:
        note += f", {progress.dropped} battles dropped (last: {progress.last_fault})"
    return note


if __name__ == "__main__":
    sys.exit(main())
