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
    val_fraction: float = knob(
        at_least=0, below=1, help="of the episodes, held out for validation; 0: none"
    )
    sequence_length: int = knob(
        at_least=1, default=32, help="decisions a sequence, for networks with a memory"
    )
    filled: str = knob(
        choices=("keep", "zero"),
        default="keep",
        help="what of imported replays was not known by then",
    )
    filter: str | None = knob(
        default=None, help="which episodes are trained on: best:SHARE by return, or winners"
    )
    shares: list[float] | None = knob(
        at_least=0, default=None, help="of several files, how much of what is served each has"
    )
    action_bounds: str | None = knob(
        choices=("clip", "squash"), default=None, help="of numbers; null: as recorded, clip"
    )
    normalize_observation: bool = knob(
        default=False, help="by statistics of what is trained on, which are the policy's"
    )
    in_memory: bool = knob(
        default=True,
        bookkeeping=True,
        help="false: decoded once into a folder, and read from there",
    )
    cache: str | None = knob(
        default=None, bookkeeping=True, help="that folder; null: one beside the first file"
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
    val_fraction: float = knob(
        at_least=0, below=1, help="of the episodes, held out for validation; 0: none"
    )
    sequence_length: int = knob(
        at_least=1, default=32, help="decisions a sequence, for networks with a memory"
    )
    filter: str | None = knob(
        default=None, help="which episodes are trained on: best:SHARE by return, or winners"
    )
    normalize_observation: bool = knob(
        default=False, help="by statistics of what is trained on, which are the policy's"
    )
    on_change: str = knob(
        choices=ON_CHANGE,
        default="error",
        bookkeeping=True,
        help="where a resume finds other data than before",
    )


@dataclass
class TransitionsConfig:
    """`data=transitions`."""

    path: str | list[str] = knob(help="a file of recorded episodes, or several")
    batch_size: int = knob(at_least=1, help="transitions an update")
    val_fraction: float = knob(
        at_least=0, below=1, help="of the episodes, held out for validation; 0: none"
    )
    n_step: int = knob(at_least=1, help="steps that a transition spans")
    normalize_observation: bool = knob(help="by statistics of what is trained on")
    action_bounds: str | None = knob(
        choices=("clip", "squash"), help="of numbers; null: as recorded, clip"
    )
    filter: str | None = knob(
        help="which episodes are trained on: best:SHARE by return, or winners"
    )
    shares: list[float] | None = knob(
        at_least=0, help="of several files, how much of what is served each has"
    )
    filled: str = knob(
        choices=("keep", "zero"), help="what of imported replays was not known by then"
    )
    on_change: str = knob(
        choices=ON_CHANGE,
        bookkeeping=True,
        help="where a resume finds other data than before",
    )
    in_memory: bool = knob(
        default=True,
        bookkeeping=True,
        help="false: decoded once into a folder, and read from there",
    )
    cache: str | None = knob(
        default=None, bookkeeping=True, help="that folder; null: one beside the first file"
    )


@dataclass
class CollectorConfig:
    """`data=rollout`."""

    num_steps: int = knob(at_least=1, help="of each environment, an update")
    episode_window: int = knob(at_least=1, help="episodes the reported return is the mean over")
    overlap: bool = knob(default=False, help="play each block while the one before is learned from")


@dataclass
class RemoteCollectorConfig:
    """`data=ray_rollout`."""

    num_steps: int = knob(at_least=1, help="of each environment, an update")
    num_actors: int = knob(at_least=1, help="processes that play, which share the environments")
    address: str = knob(
        bookkeeping=True,
        help="of a Ray cluster: local starts one; auto, ray://HOST:PORT or HOST:PORT joins one",
    )
    episode_window: int = knob(at_least=1, help="episodes the reported return is the mean over")


@dataclass
class ReplayConfig:
    """`data=replay`."""

    capacity: int = knob(at_least=1, help="transitions that are kept")
    batch_size: int = knob(at_least=1, help="transitions a gradient step")
    train_freq: int = knob(at_least=1, help="steps of each environment an update")
    updates: int = knob(at_least=1, help="gradient steps an update")
    warmup_steps: int = knob(at_least=0, help="transitions of drawn actions before any is learned")
    n_step: int = knob(at_least=1, help="steps that a transition spans")
    alpha: float = knob(at_least=0, help="how much errors decide what is drawn; 0: not at all")
    beta: float = knob(at_least=0, at_most=1, help="how much of that bias is taken away at first")
    beta_steps: int = knob(at_least=1, help="transitions after which all of it is")
    fill: str | list[str] | None = knob(help="a recording, or several, that the buffer begins with")
    episode_window: int = knob(at_least=1, help="episodes the reported return is the mean over")
    on_change: str = knob(
        choices=ON_CHANGE,
        default="error",
        bookkeeping=True,
        help="where a resume finds another recording than before",
    )
