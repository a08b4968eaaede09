"""Acting while training: actions drawn from a policy, with what learning needs to know of them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from poke.distributed.ranks import Ranks
from poke.policies.policy import Memory, Policy


class Acting:
    """Draws actions from a policy whose critic judges states.

    Args:
        policy: chooses.
        generator: what to draw from.
        ranks: the processes that play together, each its share.
    """

    def __init__(self, policy: Policy, generator: np.random.Generator, ranks: Ranks) -> None:
        self.policy = policy
        self.generator = generator
        self._ranks = ranks

    def rollout_step(
        self, observation: np.ndarray, action_mask: np.ndarray | None, memory: Memory | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw actions for training.

        Args:
            observation: `[batch, *observation_shape]`, normalised if that is asked for.
            action_mask: `[batch, mask_size]` bool, or None.
            memory: of these episodes, moved on in place; None without one.

        Returns:
            Actions, their log-probabilities and the states' values, the latter both `[batch]` float32.
        """
        outputs, value = self.policy.infer(observation, memory)
        assert value is not None
        draws = self._ranks.draws(self.generator)
        action, log_prob = self.policy.distribution.sample(outputs, action_mask, draws)
        return action, log_prob, value

    def value(self, observation: np.ndarray, memory: Memory | None = None) -> np.ndarray:
        """Return the values of observations, `[batch]` float32; the arguments are as of `rollout_step`."""
        value = self.policy.infer(observation, memory)[1]
        assert value is not None
        return value

    def understudy(self, policy: Policy) -> Acting:
        """Return what acts by another policy, and draws what this one would draw from here on, apart from it."""
        return Acting(policy, copy.deepcopy(self.generator), self._ranks)

    def get_state(self) -> dict[str, Any]:
        """Return what is to be drawn next."""
        return dict(self.generator.bit_generator.state)

    def set_state(self, state: Any) -> None:
        """Restore what `get_state` returned."""
        self.generator.bit_generator.state = state
