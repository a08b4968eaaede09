"""`python -m poke.train`: compose the config, validate it, begin or go on with a run, or hand a sweep over.

Nothing here imports torch, so a mistake is answered before torch's seconds are spent.
"""

from __future__ import annotations

from poke.run.signals import Signals, guard_the_door

if __name__ == "__main__":
    # Before anything else is imported: a signal may come at any moment.
    guard_the_door(of_runs=True)

import os
import sys
import textwrap
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from poke.config import composing
from poke.config.composing import Composed, Primary
from poke.config.knobs import ConfigError
from poke.config.saved import SavedConfig, read_run
from poke.config.validation import validate
from poke.distributed.places import follows, place_given
from poke.run import life
from poke.run.directory import (
    RunDirectory,
    RunDirectoryError,
    create_run_directory,
    holds_a_run,
    locate_run,
)
from poke.run.starts import Task
from poke.run.telling.account import Account
from poke.sweep import naming

HELP = """\
Train an agent. Every value is set as key=value.

  python -m poke.train [group=option ...] [key=value ...]     one run
  python -m poke.train -m key=value,value ...                 a sweep of runs

{groups}

Main knobs, which --help knobs explains; --cfg job prints all
  algo.lr= trainer.max_steps= trainer.eval_every= checkpoint.save_every=
  checkpoint.monitor= logger.cli_frequency= logger.backend_frequency= seed=
  device=auto|cpu|cuda
  resume=RUN_DIR|auto|URL fork=RUN_DIR init_from=RUN_DIR, and with -m sweep=NAME

Examples
  python -m poke.train algo=bc logger.cli_frequency=1000
  python -m poke.train -m algo.lr=1e-4,3e-4 seed=0,1
  python -m poke.train resume=RUN_DIR trainer.max_steps=3000
"""
KNOBS = """\
Main knobs                     (--cfg job prints them all)
  algo.lr=1e-3                 learning rate
  trainer.max_steps=1500       length: updates offline, transitions online
  trainer.eval_every=250       steps between evaluations
  checkpoint.save_every=250    steps between checkpoints
  checkpoint.max_to_keep=5     newest checkpoints kept, besides the best
  checkpoint.monitor=val/loss  decides which is best; checkpoint.mode=min|max
  logger.cli_frequency=1000    steps between lines on the terminal
  logger.backend_frequency=100 steps between rows of metrics.csv and other sinks
  logger.wandb.mode=offline    also write W&B files
  seed=0                       fixes every random state
  device=auto                  auto, cpu, cuda or cuda:N
  resume=RUN_DIR               go on where a run stopped, in place; values may
                               be given with it
  resume=auto                  go on in hydra.run.dir=DIR if a run is there,
                               else begin one
  resume=URL                   the same of what checkpoint.mirror=URL copied
  fork=RUN_DIR                 a new run from the whole state of another
  init_from=RUN_DIR            a new run from another's weights
  sweep=NAME                   with -m: the sweep's directory, multirun/NAME;
                               again: goes on with it
"""


ABBREVIATIONS = {"init_from": "init_from.path", "sweep": "sweep.name"}
AUTO = "auto"  # of resume


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 finished, 1 failed, 2 mistyped, 128 + N after signal N.

    Args:
        argv: arguments without the program's name; those of the process by default.
    """
    given = sys.argv[1:] if argv is None else argv
    status = 0
    # Where nobody reads any more, as after `| head -1`, that is no failure.
    with suppress(BrokenPipeError):
        status = composing.answer(lambda: _main([_in_full(a) for a in given]))
    life.leave_with(status)
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):  # or the interpreter would try again as it ends, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


def _main(argv: list[str]) -> int:
    args = get_args_parser().parse_intermixed_args(argv)
    # Hydra reads overrides on one side of a flag only.
    argv = [*(a for a in argv if a not in args.overrides), *args.overrides]
    if args.help:
        print(KNOBS if args.overrides == ["knobs"] else HELP.format(groups=_groups()), end="")
        return 0
    primary = Primary(args.config_name or "train", args.config_path, args.config_dir)
    if args.cfg:
        return _show_config(primary, args)
    if args.info or args.hydra_help or args.shell_completion:
        return _hand_to_hydra(argv)
    resume, fork = (_given(args.overrides, key) for key in ("resume", "fork"))
    if args.multirun:
        if resume is not None or fork is not None:
            raise ConfigError(f"{'resume' if resume else 'fork'} is of one run; leave out -m")
        if place_given() is not None:
            raise ConfigError("a sweep starts the ranks of its jobs itself: set trainer.devices=N")
        return _sweep(argv, args.overrides, primary)
    if resume is not None and fork is not None:
        raise ConfigError("resume goes on with a run, fork begins another: give one of them")
    if follows():
        from poke.run.following import main as follow

        return follow()
    with Signals() as signals:
        task = Task(command=_shown(argv), overrides=args.overrides, signals=signals)
        try:
            if resume is not None and resume != AUTO:
                return _resume(resume, task, primary)
            if fork is not None:
                return _fork(fork, task, primary)
            return _begin(task, primary, go_on=resume == AUTO)
        except RunDirectoryError as error:
            raise ConfigError(str(error)) from error
        except BrokenPipeError:
            raise
        except OSError as error:  # a place that cannot be written, met before the run could say so
            place = error.filename or "the run's directory"
            raise ConfigError(f"{place}: {error.strerror or error}") from error


def _begin(task: Task, primary: Primary, *, go_on: bool) -> int:
    composed = composing.compose_run(primary, task.overrides)
    plain = composing.to_plain(composed.config)
    validate(plain)
    named = composed.run_dir
    if go_on and named is None:
        raise ConfigError("resume=auto goes on in a directory that is named: add hydra.run.dir=DIR")
    if go_on and named is not None:
        if not holds_a_run(named):
            _take_back(named, plain["checkpoint"].get("mirror"))
        if holds_a_run(named):
            return _resume(str(named), task, primary)
    return _run(composed, task, primary)


def _run(composed: Composed, task: Task, primary: Primary) -> int:
    """Let Hydra make its part of the directory, which is ours from before that, and run."""
    directory = _new_directory(composed.run_dir)
    outcomes: list[life.Outcome] = []

    def job(config: DictConfig) -> None:
        plain = composing.to_plain(config)
        plain["resume"] = None
        validate(plain)
        own = Task(
            task.command, list(HydraConfig.get().overrides.task), task.signals, began=task.began
        )
        outcomes.append(life.begin(plain, directory, own, unresolved=config))

    naming.register_resolver()
    composing.place(composed.whole, directory.path)
    with directory.claimed(), primary.hydra(composed.whole) as engine:
        engine.run(primary.name, job, list(task.overrides))
    return outcomes[0].exit_status


def _new_directory(named: Path | None) -> RunDirectory:
    """The directory of a run that begins, by default one that is made now; a run that is refused takes it away."""
    if named is not None:
        return RunDirectory(named)
    return RunDirectory(create_run_directory(Path("outputs")), made=True)


def _take_back(run_dir: Path, mirror: str | None) -> None:
    """Restore a run that this machine lacks, if it is mirrored."""
    if mirror is None:
        return
    from poke.run.mirror import holds_a_mirror, place_of, restore

    url = place_of(mirror, run_dir)
    if holds_a_mirror(url):
        print(f"restored {restore(url, run_dir)} from {url}", flush=True)


def _resume(where: str, task: Task, primary: Primary) -> int:
    if "://" in where:
        from poke.run.mirror import restore

        named = _given(task.overrides, "hydra.run.dir")
        restored = restore(where, None if named is None else Path(named))
        print(f"restored {restored} from {where}", flush=True)
        where = str(restored)
    try:
        run_dir, checkpoint = locate_run(where)
    except RunDirectoryError as error:
        raise ConfigError(f"resume={where}: {error}") from error
    kept = _of_the_run(task.overrides, run_dir)
    saved = _read(run_dir, kept, primary)
    own = Task(task.command, kept, task.signals, began=task.began)
    return life.resume(saved, RunDirectory(run_dir), checkpoint, own).exit_status


def _fork(where: str, task: Task, primary: Primary) -> int:
    try:
        parent, checkpoint = locate_run(where)
    except RunDirectoryError as error:
        raise ConfigError(f"fork={where}: {error}") from error
    named = _given(task.overrides, "hydra.run.dir")
    kept = [o for o in task.overrides if _key(o) not in ("fork", "hydra.run.dir")]
    saved = _read(parent, kept, primary)
    own = Task(task.command, kept, task.signals, began=task.began)
    directory = _new_directory(None if named is None else Path(named))
    with directory.claimed():
        return life.fork(saved, parent, checkpoint, directory, own).exit_status


def _read(run_dir: Path, overrides: Sequence[str], primary: Primary) -> SavedConfig:
    version = Account.of(run_dir).config_format
    saved = read_run(run_dir, overrides, version=version, search_dir=primary.search_dir)
    validate(saved.plain)
    return saved


def _of_the_run(overrides: Sequence[str], run_dir: Path) -> list[str]:
    """The overrides that change the run: how it is found is none of them, nor, given again, how Hydra began it."""
    if _given(overrides, "resume") == AUTO:
        return [o for o in overrides if _key(o) != "resume" and not _key(o).startswith("hydra")]
    named = _given(overrides, "hydra.run.dir")
    if named is not None and Path(named).absolute() != run_dir.absolute():
        raise ConfigError(
            f"hydra.run.dir={named} cannot be given with resume, which goes on in place: "
            "fork=RUN begins a directory of its own"
        )
    return [o for o in overrides if _key(o) not in ("resume", "hydra.run.dir")]


def _sweep(argv: list[str], overrides: list[str], primary: Primary) -> int:
    from poke.sweep.run import run_sweep

    naming.register_resolver()
    return run_sweep(primary, overrides, _shown(argv))


def _show_config(primary: Primary, args: Namespace) -> int:
    """Print the config as Hydra does."""
    naming.register_resolver()
    composing.compose_whole(primary, args.overrides)  # a mistake is answered in one line
    with primary.hydra() as engine:
        engine.show_cfg(primary.name, args.overrides, args.cfg, args.package, args.resolve)
    return 0


def _hand_to_hydra(argv: Sequence[str]) -> int:
    """Let Hydra answer what it is asked about itself."""
    naming.register_resolver()
    sys.argv = [sys.argv[0], *argv]
    hydra.main(version_base="1.3", config_path=str(composing.config_dir()), config_name="train")(
        lambda config: None
    )()
    return 0


def _in_full(argument: str) -> str:
    """`init_from=PATH` is short for `init_from.path=PATH`, and `sweep=NAME` for `sweep.name=NAME`."""
    key, equals, value = argument.partition("=")
    return f"{ABBREVIATIONS[key]}={value}" if equals and key in ABBREVIATIONS else argument


def _groups() -> str:
    """The groups that leave a choice, and their options."""
    groups = []
    for folder in sorted(p for p in composing.config_dir().iterdir() if p.is_dir()):
        options = sorted(p.stem for p in folder.glob("*.yaml"))
        if len(options) > 1 and folder.name != "hydra":
            groups.append(f"{folder.name}={' | '.join(options)}")
    return textwrap.fill(";  ".join(groups), 78, initial_indent="  ", subsequent_indent="  ")


def _given(overrides: Sequence[str], key: str) -> str | None:
    """The value that an override gives to a key."""
    for override in composing.parse(overrides):
        if override.key_or_group == key and override.value() is not None:
            return str(override.value())
    return None


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _shown(argv: Sequence[str]) -> list[str]:
    return ["python", "-m", "poke.train", *argv]


if __name__ == "__main__":
    # Imported by name, so that launchers find what they pickle in a module their worker processes can import.
    from poke.train import main as _main_by_name

    sys.exit(_main_by_name())
