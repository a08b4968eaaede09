"""`python -m poke.train`: compose the config, validate it, hand it to the runner.

Nothing here imports torch, so a mistake is answered before torch's seconds are spent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.config.schema import validate
from poke.run.directory import RunDirectoryError, create_run_directory, locate_run
from poke.sweep import naming

HELP = """\
Train an agent. Every value is set as key=value; the run's directory holds its config, metrics and checkpoints.

  python -m poke.train [group=option ...] [key=value ...]     one run
  python -m poke.train -m key=value,value ...                 a sweep, one run a combination

Groups
{groups}

Main knobs                                  (--cfg job prints them all)
  algo.lr=1e-3                 learning rate
  trainer.max_steps=1500       length of the run: updates offline, transitions online
  trainer.eval_every=250       steps between evaluations
  checkpoint.save_every=250    steps between checkpoints
  checkpoint.max_to_keep=5     newest checkpoints kept, besides the best
  checkpoint.monitor=val/loss  what decides which is best; checkpoint.mode=min|max
  logger.cli_frequency=1000    steps between lines on the terminal
  logger.backend_frequency=100 steps between rows of metrics.csv, TensorBoard and W&B
  logger.wandb.mode=offline    also write W&B files
  seed=0                       fixes every random state
  device=auto                  auto, cpu, cuda or cuda:N
  resume=RUN_DIR               go on where a run stopped, in place
  init_from=RUN_DIR            start from another run's weights
  sweep=NAME                   with -m: the sweep's directory, multirun/NAME; again: goes on with it

Examples
  python -m poke.train algo=bc logger.cli_frequency=1000
  python -m poke.train -m algo.lr=1e-4,3e-4 seed=0,1
  python -m poke.train resume=outputs/2026-01-31/12-00-00-a1b2 trainer.max_steps=3000
"""


ABBREVIATIONS = {"init_from": "init_from.path", "sweep": "sweep.name"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 finished, 1 failed, 2 mistyped, 128 + N after signal N.

    Args:
        argv: arguments without the program's name; those of the process by default.
    """
    given = sys.argv[1:] if argv is None else argv
    return composing.answer(lambda: _main([_in_full(a) for a in given]))


def _main(argv: list[str]) -> int:
    args = get_args_parser().parse_intermixed_args(argv)
    # Hydra reads overrides on one side of a flag only.
    argv = [*(a for a in argv if a not in args.overrides), *args.overrides]
    if args.help:
        print(HELP.format(groups=_groups()), end="")
        return 0
    if args.cfg or args.info or args.hydra_help or args.shell_completion:
        return _hand_to_hydra(argv)
    if args.multirun:
        return _sweep(argv, args.overrides, args.config_dir)

    composed = composing.to_plain(
        composing.compose("train", args.overrides, search_dir=args.config_dir)
    )
    validate(composed)
    if composed["resume"] is not None:
        return _resume(composed["resume"], args.overrides, argv)
    if _given(args.overrides, "hydra.run.dir") is not None:
        return _hand_to_hydra(argv)
    return _hand_to_hydra(argv, f"hydra.run.dir={_quote(create_run_directory(Path('outputs')))}")


def _sweep(argv: list[str], overrides: list[str], search_dir: str | None) -> int:
    from poke.sweep.grid import check_axes
    from poke.sweep.run import run_sweep

    first = check_axes(overrides, search_dir)
    if first["resume"] is not None:
        raise ConfigError("resume goes on with one run; leave out -m")
    search = [f"hydra.searchpath=['file://{Path(search_dir).resolve()}']"] if search_dir else []
    given = _given(overrides, "hydra.sweep.dir")
    name = first["sweep"]["name"]
    if given is not None:
        where = Path(given)
    else:
        where = Path("multirun", name) if name else create_run_directory(Path("multirun"))
        overrides = [*overrides, f"hydra.sweep.dir={_quote(where)}"]
    return run_sweep(where, [*search, *overrides], first["sweep"], _shown(argv))


def _resume(where: str, overrides: Sequence[str], argv: Sequence[str]) -> int:
    try:
        run_dir, checkpoint = locate_run(where)
    except RunDirectoryError as error:
        raise ConfigError(f"resume={where}: {error}") from error
    kept = [o for o in overrides if not o.startswith("resume=")]
    plain = composing.read_run(run_dir, kept)
    validate(plain)
    from poke.run import runner

    try:
        outcome = runner.resume(plain, run_dir, checkpoint, overrides=kept, command=_shown(argv))
    except RunDirectoryError as error:
        raise ConfigError(str(error)) from error
    return outcome.exit_status


def _hand_to_hydra(argv: Sequence[str], *directory: str) -> int:
    """Let Hydra compose, make the directory and run; return the exit status."""
    statuses: list[int] = []

    def job(composed: DictConfig) -> None:
        plain = composing.to_plain(composed)
        validate(plain)
        from poke.run import runner

        about = HydraConfig.get()
        outcome = runner.run(
            plain,
            Path(about.runtime.output_dir),
            overrides=list(about.overrides.task),
            command=_shown(argv),
        )
        statuses.append(outcome.exit_status)

    naming.register_resolver()
    sys.argv = [sys.argv[0], *argv, *directory]
    hydra.main(version_base="1.3", config_path=str(composing.config_dir()), config_name="train")(
        job
    )()
    return max(statuses, default=0)


def _in_full(argument: str) -> str:
    """`init_from=PATH` is short for `init_from.path=PATH`, and `sweep=NAME` for `sweep.name=NAME`."""
    key, equals, value = argument.partition("=")
    return f"{ABBREVIATIONS[key]}={value}" if equals and key in ABBREVIATIONS else argument


def _groups() -> str:
    lines = []
    for folder in sorted(p for p in composing.config_dir().iterdir() if p.is_dir()):
        options = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        if options:
            lines.append(f"  {folder.name + '=':<14}{options}")
    return "\n".join(lines)


def _given(overrides: Sequence[str], key: str) -> str | None:
    """The value that an override gives to a key."""
    for override in composing.parse(overrides):
        if override.key_or_group == key:
            return str(override.value())
    return None


def _quote(path: Path) -> str:
    """Quote a path for Hydra's grammar, where = , and spaces mean something."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _shown(argv: Sequence[str]) -> list[str]:
    return ["python", "-m", "poke.train", *argv]


if __name__ == "__main__":
    # Imported by name, so that launchers find `job` in a module their worker processes can import.
    from poke.train import main as _main_by_name

    sys.exit(_main_by_name())
