"""What a battle is worth while it lasts.

Potential-based shaping, after Ng, Harada and Russell, "Policy Invariance Under Reward Transformations: Theory and
Application to Reward Shaping", ICML 1999, theorem 1: a reward of ``gamma phi(s') - phi(s)`` besides the outcome, with
``phi`` 0 where a battle ends, changes no policy's rank. With gamma 1 an episode's rewards add up to its outcome
less ``phi`` of its first decision, when as a rule nobody has been hit yet.

``phi`` is the difference between the sides in HP (fractions of each Pokemon's maximum, added up) and in Pokemon left,
over 12: 1 where one side is whole and the other gone. What has not been seen of the opponent counts as whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shaping:
    """Adds what a step changed of the potential.

    Args:
        scale: of the potential; 0 for the outcome alone.
        gamma: the learner's discount factor.
    """

    scale: float
    gamma: float

    def __call__(self, outcome: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return the rewards of a step, `[num_envs]` float32.

        Args:
            outcome: 1 won, -1 lost, 0 else.
            before: potential at the decision.
            after: potential at the next decision, 0 where there is none because the battle ended.
        """
        if not self.scale:
            return outcome.astype(np.float32)
        return (outcome + self.scale * (self.gamma * after - before)).astype(np.float32)
