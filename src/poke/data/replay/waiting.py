"""Decisions that wait for what comes n steps after them.

What comes after a decision is the next one that was *made*, not the next one that was asked for: a choice that is
refused is no step, and the mask that tells what was legal is the one without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

Decision = dict[str, Any]


class Waiting:
    """The last decisions of each environment, until it is known what they led to.

    Args:
        num_envs: environments.
        n_step: how many steps a transition spans.
    """

    def __init__(self, num_envs: int, n_step: int) -> None:
        self._n_step = n_step
        self._waiting: list[list[Decision]] = [[] for _ in range(num_envs)]

    def add(self, i: int, decision: Decision, reward: float) -> None:
        """Take environment i's decision and what it was rewarded with, which those before it have earned as well.

        Args:
            i: the environment.
            decision: observation, action, and where there is one action_mask.
            reward: of the step.
        """
        waiting = self._waiting[i]
        waiting.append({**decision, "rewards": []})
        for earlier in waiting:
            earlier["rewards"].append(reward)

    def ripe(self, i: int, decision: Decision) -> Iterator[Decision]:
        """Yield what a decision of environment i makes a transition: the decision n steps before it.

        Args:
            i: the environment.
            decision: as of `add`, before which this is called.
        """
        waiting = self._waiting[i]
        if waiting and len(waiting[0]["rewards"]) == self._n_step:
            yield self._transition(waiting.pop(0), _as_next(decision), terminated=False)

    def flush(
        self, i: int, after: Mapping[str, Any] | None, *, terminated: bool
    ) -> Iterator[Decision]:
        """Yield all that waits for environment i, whose episode is over.

        Args:
            i: the environment.
            after: next_observation, and where there is one next_action_mask, as they were at the end; None where nobody
                knows: unless it terminated, all but the last decision then lead to that one, a step less.
            terminated: whether the episode ended, and was not just cut off.
        """
        waiting, self._waiting[i] = self._waiting[i], []
        if not terminated and after is None:
            after = _as_next(waiting.pop())
            for decision in waiting:
                decision["rewards"].pop()
        for decision in waiting:
            yield self._transition(decision, None if terminated else after, terminated=terminated)

    def clear(self) -> None:
        """Forget everything: all episodes begin anew."""
        self._waiting = [[] for _ in self._waiting]

    def get_state(self) -> list[list[dict[str, Any]]]:
        """Return what waits, environment by environment."""
        return [[_values(decision) for decision in waiting] for waiting in self._waiting]

    def set_state(self, state: Any) -> None:
        """Restore what `get_state` returned."""
        self._waiting = [[_arrays(decision) for decision in waiting] for waiting in state]

    def _transition(
        self, decision: Decision, after: Mapping[str, Any] | None, *, terminated: bool
    ) -> Decision:
        rewards = decision.pop("rewards")
        if after is None:  # means nothing, but has to be something
            after = _as_next(decision)
        return {
            **decision,
            **after,
            "reward": rewards + [0.0] * (self._n_step - len(rewards)),
            "length": len(rewards),
            "terminated": terminated,
        }


def _as_next(decision: Decision) -> dict[str, Any]:
    """What a decision is to those before it."""
    seen = ("observation", "action_mask")
    return {f"next_{name}": decision[name] for name in seen if name in decision}


def _values(decision: Decision) -> dict[str, Any]:
    return {
        name: value if name == "rewards" else torch.from_numpy(np.array(value))
        for name, value in decision.items()
    }


def _arrays(values: Mapping[str, Any]) -> Decision:
    return {
        name: list(value) if name == "rewards" else value.numpy().copy()
        for name, value in values.items()
    }
