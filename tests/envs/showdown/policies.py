"""Policies of tests that play on a server."""

import numpy as np


class Anything:
    """A policy of random legal actions that keeps all observations and calls something at its n-th decision.

    Args:
        seed: of its choices.
        at: the decision, from 1 on.
        call: what is called there.
        moves: it switches only where it must, so that battles end soon.
    """

    def __init__(self, seed=0, *, at=0, call=None, moves=False):
        self.generator = np.random.default_rng(seed)
        self.at, self.call, self.moves = at, call, moves
        self.observations = []

    def initial_state(self):
        return None

    def act(self, observation, *, action_mask, state, return_info=False):
        assert action_mask.sum() > 1, "a single choice is nobody's decision"
        self.observations.append(observation)
        if len(self.observations) == self.at:
            self.call()
        legal = np.flatnonzero(action_mask)
        if self.moves and legal[-1] >= 6:
            legal = legal[legal >= 6]
        action = self.generator.choice(legal)
        if not return_info:
            return action
        return action, {"probabilities": action_mask / action_mask.sum(), "value": 0.25}
