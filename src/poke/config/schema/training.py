"""What `trainer` and `checkpoint` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from poke.config.knobs import knob


@dataclass
class EarlyStoppingConfig:
    """`trainer.early_stopping`."""

    patience: int = knob(
        at_least=0, default=0, help="evaluations without a better checkpoint.monitor; 0: never"
    )
    min_delta: float = knob(at_least=0, default=0.0, help="by how much one must be better to count")


@dataclass
class TrainerConfig:
    """`trainer`."""

    max_steps: int = knob(at_least=0, help="updates offline, transitions online")
    eval_every: int = knob(at_least=0, help="steps; 0: only at the end")
    max_seconds: float = knob(
        at_least=0,
        default=0,
        bookkeeping=True,
        help="a process saves and ends after so long; 0: no limit",
    )
    early_stopping: EarlyStoppingConfig = knob(default=None)
    devices: int = knob(at_least=1, default=1, help="processes that train together")
    strategy: str = knob(
        choices=("ddp", "fsdp"),
        default="ddp",
        help="whether each of them has all weights, or a part of them",
    )
    rank_timeout: float = knob(
        above=0,
        default=300,
        bookkeeping=True,
        help="seconds after which one of them that says nothing ends the run",
    )
    precision: int | str = knob(
        choices=(32, "bf16-mixed", "16-mixed"), default=32, help="what networks compute in"
    )
    accumulate: int = knob(
        at_least=1, default=1, help="parts in which the gradient of a minibatch is computed"
    )
    compile: bool = knob(default=False, help="networks by torch.compile")
    deterministic: bool = knob(
        default=False, help="no operation on a device whose result may differ between two times"
    )


@dataclass
class CheckpointConfig:
    """`checkpoint`: when the trainer saves, and how CheckpointManager keeps."""

    save_every: int = knob(
        bookkeeping=True, at_least=0, help="steps; 0: only at the beginning and end"
    )
    save_every_seconds: float = knob(
        bookkeeping=True, at_least=0, help="besides save_every; 0: never by the clock"
    )
    max_to_keep: int = knob(bookkeeping=True, at_least=1, help="newest; the best is kept besides")
    keep_best: bool = knob(
        bookkeeping=True, help="best.pt links to the best by monitor, and it is never pruned"
    )
    keep_every: int | None = knob(bookkeeping=True, at_least=1, help="steps; never pruned")
    monitor: str = knob(help="the metric that decides which is best")
    mode: str = knob(choices=("min", "max"), help="whether less or more of monitor is better")
    async_save: bool = knob(bookkeeping=True, help="write in the background")
    contents: str = knob(bookkeeping=True, choices=("full", "weights"))
    mirror: str | None = knob(
        bookkeeping=True,
        default=None,
        help="URL under which the run's directory is copied after every checkpoint, as s3://BUCKET",
    )
