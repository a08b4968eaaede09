"""What the options of `network` may hold. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from poke.config.knobs import knob

RECOMPUTED = "compute what gradients are made of twice, to take less memory"


@dataclass
class AutoNetworkConfig:
    """`network=auto`."""

    hidden_sizes: list[int] = knob(at_least=1, help="layers over numbers, and over all parts")
    activation: str = knob(choices=("relu", "tanh", "gelu"))
    picture_size: int = knob(at_least=1)
    embedding_size: int = knob(at_least=1)
    entity_size: int = knob(at_least=1)
    battle_size: int = knob(at_least=1)
    memory: str | None = knob(choices=("gru", "lstm"), help="null: nothing is remembered")
    memory_size: int = knob(at_least=1)
    move_size: int = knob(at_least=1, default=32)
    activation_checkpointing: bool = knob(default=False, help=RECOMPUTED)


@dataclass
class MLPConfig:
    """`network=mlp`."""

    hidden_sizes: list[int] = knob(at_least=1, help="units of each layer")
    activation: str = knob(choices=("relu", "tanh", "gelu"))


@dataclass
class CNNConfig:
    """`network=cnn`."""

    hidden_size: int = knob(at_least=1, help="units of the layer behind the convolutions")


@dataclass
class BattleNetworkConfig:
    """`network=battle`."""

    entity_size: int = knob(at_least=1)
    hidden_size: int = knob(at_least=1, help="units of the layer behind the convolutions")
    move_size: int = knob(at_least=1, default=32)
    activation_checkpointing: bool = knob(default=False, help=RECOMPUTED)
