"""What the options of `data` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from poke.config.knobs import knob

ON_CHANGE = ("error", "accept")


@dataclass
class DemonstrationsConfig:
    """`data=sample` and `data=file`."""

    path: str | list[str] = knob(
        help="a file of demonstrations, sample:NAME for one shipped with poke, or several"
    )
    batch_size: int = knob(at_least=1, help="decisions an update")
    val_fraction: float = knob(above=0, below=1, help="of the episodes, held out for validation")
    sequence_length: int = knob(
        at_least=1, default=32, help="decisions a sequence, for networks with a memory"
    )
    filled: str = knob(
        choices=("keep", "zero"),
        default="keep",
        help="what of imported replays was not known by then",
    )
    on_change: str = knob(
        choices=ON_CHANGE,
        default="error",
        bookkeeping=True,
        help="where a resume finds other data than before",
    )


@dataclass
class MinariConfig:
    """`data=minari`."""

    dataset_id: str = knob(help="as Minari names it; nothing is downloaded")
    batch_size: int = knob(at_least=1, help="decisions an update")
    val_fraction: float = knob(above=0, below=1, help="of the episodes, held out for validation")
    sequence_length: int = knob(
        at_least=1, default=32, help="decisions a sequence, for networks with a memory"
    )
    on_change: str = knob(
        choices=ON_CHANGE,
        default="error",
        bookkeeping=True,
        help="where a resume finds other data than before",
    )


@dataclass
class CollectorConfig:
    """`data=rollout`."""

    num_steps: int = knob(at_least=1, help="of each environment, an update")
    episode_window: int = knob(at_least=1, help="episodes the reported return is the mean over")
