"""What a whole config may hold, of training and of recording. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poke.config.knobs import knob
from poke.config.schema.logging import LoggerConfig
from poke.config.schema.training import CheckpointConfig, TrainerConfig


@dataclass
class InitFromConfig:
    """`init_from=FILE`: a warm start."""

    path: str | None = knob(help="a run or checkpoint whose algorithm weights to start from")
    strict: bool = knob(help="false: leave out weights that are missing or of another shape")


@dataclass
class SweepConfig:
    """`sweep=NAME`: how the jobs of `-m` are brought to their end."""

    name: str | None = knob(help="the sweep's directory is multirun/NAME")
    on_change: str = knob(choices=("error", "rerun", "ignore"))
    fail_fast: bool = knob(help="stop all jobs when one has failed")
    on_busy: str = knob(choices=("wait", "error"), help="while another process runs this sweep")
    trial: int | None = knob(help="the search's number for the job; set by hydra/sweeper=optuna")
    # What came later has a default, as below.
    on_failed: str = knob(
        choices=("auto", "resume", "rerun"),
        default="auto",
        help="a failed job goes on, runs again, or, auto: goes on if something from outside failed it",
    )
    max_parallel: int | None = knob(
        at_least=1, default=None, help="jobs at once, whatever the launcher would run"
    )


@dataclass
class TrainConfig:
    """The whole of `python -m poke.train`."""

    # Groups that others borrow values from come first, so that a mistake is named where it was made.
    trainer: TrainerConfig = knob()
    checkpoint: CheckpointConfig = knob()
    logger: LoggerConfig = knob(bookkeeping=True)
    algo: Any = knob()
    network: Any = knob()
    data: Any = knob()
    seed: int = knob(at_least=0, at_most=2**63 - 1, help="fixes every random state of the run")
    device: str = knob(help="auto, cpu, cuda or cuda:N")
    torch_threads: int = knob(at_least=1, help="threads a torch operator may use")
    resume: str | None = knob(
        bookkeeping=True,
        help="a run directory or checkpoint file to go on from, in place; auto: hydra.run.dir, if a run is there",
    )
    init_from: InitFromConfig = knob()
    sweep: SweepConfig = knob(bookkeeping=True)
    # What came later has a default, so that groups and primary configs of a user's own go on working.
    fork: str | None = knob(
        default=None,
        bookkeeping=True,
        help="a run or checkpoint whose whole state a new run starts from",
    )
    env: Any = knob(default=None)
    eval: Any = knob(default=None)


@dataclass
class RecordConfig:
    """The whole of `python -m poke.record`."""

    env: Any = knob(help="where battles are played")
    format: str = knob(help="a random battle format, such as gen1randombattle")
    battles: int = knob(at_least=1, help="in all, those of earlier sessions included")
    expert: str = knob(help="whose decisions are recorded: a player, or a run")
    experts: list[Any] | None = knob(
        help="several, with shares of the battles, as in [{player: random, share: 1}]"
    )
    opponents: list[str] = knob(help="played in turn: players, or runs")
    both_sides: bool = knob(help="opponents' decisions are recorded too")
    out: str = knob(help="the file; minari:NAME, a Minari dataset")
    seed: int = knob(at_least=0, help="of everything: the same seed gives the same file")
    concurrency: int = knob(at_least=1, at_most=4096, help="battles at a time")
    policy: str | None = knob(
        help="a run, or one of its checkpoints, whose policy is recorded, in env"
    )
    episodes: int = knob(at_least=1, help="of policy, in a Gymnasium environment")
    explore: bool = knob(
        default=False, help="there policy draws its actions, instead of the most probable"
    )
    trust: list[str] = knob(
        default=None, help="packages whose classes policy's run may name besides poke's own"
    )
    replays: str | None = knob(default=None, help="a log of a battle, or a folder of them")
    keep_names: bool = knob(default=False, help="the file says who played the replays")
    min_rating: int | None = knob(
        at_least=0, default=None, help="players of replays below are left out"
    )
