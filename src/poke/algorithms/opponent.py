"""What predicts an opponent's actions from a network's features, in training only.

Opponents' actions are numbered as environments of battles tell them: 0 not known, 1 a switch, from 2 on the moves of
the layout's table.
"""

from __future__ import annotations

from torch import nn

from poke.policies.policy import Policy

# Between features and a logit a move of every generation: without it those would cost half as much as all the rest.
_WIDTH = 32


def opponent_head(policy: Policy) -> nn.Module:
    """Return layers from a policy's features to logits of its opponent's action.

    Args:
        policy: of battles, with a network that has features and no memory.

    Raises:
        ValueError: it is any other.
    """
    layout = policy.observation_space.layout
    if layout is None or not policy.network.features_size or policy.network.state_size:
        raise ValueError(
            "algo.opponent_coefficient needs battles, and network=battle or network=auto without a memory"
        )
    # The table counts an id for no move; the two besides are "not known" and the switch.
    num_classes = layout["tables"]["move"] + 2
    return nn.Sequential(
        nn.Linear(policy.network.features_size, _WIDTH), nn.Linear(_WIDTH, num_classes)
    )
