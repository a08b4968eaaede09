"""Players by rule: one that plays well, and one that is wrong in one way and always.

Noise would prove nothing: what is most frequent is then right, and a clone that plays by it has no noise.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from recorded import nim

Rule = Callable[[np.ndarray, np.ndarray | None], int]


class Player:
    """Plays by a rule, as `poke.envs.episodes.record_episodes` lets policies play."""

    def __init__(self, rule: Rule, environment) -> None:
        self.observation_space = environment.observation_space
        self._rule = rule

    def initial_state(self, batch_size):
        return None

    def choose(self, observation, *, action_mask=None, state=None, explore=False, generator=None):
        masks = action_mask if action_mask is not None else [None] * len(observation)
        chosen = [self._rule(o, m) for o, m in zip(observation, masks, strict=True)]
        return SimpleNamespace(action=np.array(chosen, np.int64))


def cartpole_right(seen, mask):
    """Holds the pole up and the cart in the middle."""
    x, v, angle, turn = seen
    return int(3 * angle + turn + 0.1 * x + 0.3 * v > 0)


def cartpole_wrong(seen, mask):
    """Goes where the pole leans, however it turns."""
    return int(seen[2] > 0)


def lander_right(seen, mask):
    """Gymnasium's own rule, by which its documentation lands."""
    from gymnasium.envs.box2d.lunar_lander import heuristic

    return int(heuristic(_DISCRETE, seen))


def lander_wrong(seen, mask):
    """The same with the side engines mistaken for each other."""
    return {1: 3, 3: 1}.get(lander_right(seen, mask), lander_right(seen, mask))


_DISCRETE = SimpleNamespace(unwrapped=SimpleNamespace(continuous=False), continuous=False)


def nim_right(seen, mask):
    """Makes the winning move where there is one, else takes one of the largest heap."""
    heaps = nim.heaps_of(seen)
    good = nim.best(heaps)
    return nim.MOVES.index((int(heaps.argmax()), 1)) if good is None else good


def nim_wrong(seen, mask):
    """Takes the whole largest heap."""
    heaps = nim.heaps_of(seen)
    return nim.MOVES.index((int(heaps.argmax()), int(heaps.max())))
