"""A network for every space."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from poke.networks.battle import BattleEncoder, BattleNetwork, scores_actions
from poke.networks.cnn import CNN, PictureEncoder
from poke.networks.encoding.encoder import Encoder, recompute_blocks
from poke.networks.encoding.packed import JoinedEncoder, number_scale
from poke.networks.encoding.pictures import is_picture
from poke.networks.memory import MemoryNetwork
from poke.networks.mlp import MLP, MLPEncoder
from poke.spaces import ObservationSpace


def auto_network(
    *,
    observation_space: ObservationSpace,
    num_outputs: int,
    hidden_sizes: Sequence[int],
    activation: str,
    picture_size: int,
    embedding_size: int,
    entity_size: int,
    battle_size: int,
    move_size: int = 32,
    memory: str | None = None,
    memory_size: int = 64,
    activation_checkpointing: bool = False,
) -> nn.Module:
    """Return the network that observations ask for.

    Numbers get an `MLP`, as one choice does, which is one-hot; a picture (see `encoding.pictures.is_picture`) a
    `CNN`; a battle a `BattleNetwork`, or what it encodes battles with and a last layer where other outputs than the
    scores of actions are asked for; several parts an encoder each (see `JoinedEncoder`). With a memory what encodes
    observations is the same.

    Args:
        observation_space: what observations are made of.
        num_outputs: size of the last layer.
        hidden_sizes: width of each layer over numbers, and over all parts of an observation of several.
        activation: of those layers: relu, tanh or gelu.
        picture_size: width of an encoded picture.
        embedding_size: width of an embedded choice.
        entity_size: width of an encoded Pokemon.
        battle_size: width of an encoded battle.
        move_size: width of an encoded move.
        memory: gru or lstm; None for a network that remembers nothing.
        memory_size: width of what is remembered.
        activation_checkpointing: let encoders compute again on the way back what they would else have kept: slower, in
            less memory, and the same (see `encoding.encoder.recompute_blocks`).
    """
    space, entry, layout = observation_space, observation_space.entries[0], observation_space.layout

    def encoder() -> Encoder:
        if layout is not None:
            return BattleEncoder(
                layout, entity_size=entity_size, move_size=move_size, size=battle_size
            )
        if space.packed:
            return JoinedEncoder(
                space,
                hidden_sizes=hidden_sizes,
                activation=activation,
                picture_size=picture_size,
                embedding_size=embedding_size,
            )
        if is_picture(entry):
            return PictureEncoder(entry, picture_size)
        return MLPEncoder(
            space.shape,
            hidden_sizes=hidden_sizes,
            activation=activation,
            scale=number_scale(entry),
        )

    def network() -> nn.Module:
        if memory is not None:
            return MemoryNetwork(encoder(), num_outputs, memory=memory, memory_size=memory_size)
        if layout is not None and scores_actions(layout, num_outputs):
            return BattleNetwork(
                num_outputs=num_outputs,
                layout=layout,
                entity_size=entity_size,
                move_size=move_size,
                hidden_size=battle_size,
            )
        if space.packed or layout is not None:
            encoded = encoder()
            return nn.Sequential(encoded, nn.Linear(encoded.size, num_outputs))
        if is_picture(entry):
            return CNN(observation_space=space, num_outputs=num_outputs, hidden_size=picture_size)
        return MLP(
            observation_shape=space.shape,
            num_outputs=num_outputs,
            hidden_sizes=hidden_sizes,
            activation=activation,
            scale=number_scale(entry),
        )

    made = network()
    if activation_checkpointing:
        recompute_blocks(made)
    return made
