"""How well a policy plays: whole episodes on environments of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from poke.envs.environments import Environments
from poke.spaces import ObservationSpace

MAX_FRAMES = 200  # of a film


class Chosen(Protocol):
    """What a policy chose."""

    @property
    def action(self) -> np.ndarray: ...


class Player(Protocol):
    """A policy, as `poke.policies.policy.Policy` is one."""

    observation_space: ObservationSpace

    def choose(
        self, observation: np.ndarray, *, action_mask: np.ndarray | None = None, state: Any = None
    ) -> Chosen: ...

    def initial_state(self, batch_size: int) -> Any: ...


class Playing(Protocol):
    """An algorithm with a policy."""

    policy: Player


class EvaluatedEnvironment(Protocol):
    """Makes environments for evaluation."""

    def make_evaluation(self, num_envs: int, *, render: bool = False) -> Environments: ...


class EpisodeEvaluator:
    """Evaluator: plays the same episodes at every evaluation, by the policy's most probable actions.

    Every environment plays one episode, all of them side by side, begun from seeds that neither the run's seed nor
    training decides; so runs and moments of a run are judged on the same beginnings.

    Args:
        environment: makes the environments.
        episodes: how many.
        seed: of the episodes.
        video: film an episode at every evaluation, besides.
    """

    category = "eval"
    metric_names = ("return_mean", "return_std", "return_min", "return_max", "length_mean")

    def __init__(
        self,
        environment: EvaluatedEnvironment,
        *,
        episodes: int,
        seed: int,
        video: bool = False,
    ) -> None:
        self._environment = environment
        self._episodes = episodes
        self._seed = seed
        self._video = video
        self.film: np.ndarray | None = (
            None  # `[time, height, width, 3] uint8` of the last evaluation
        )

    def evaluate(self, algorithm: Playing) -> dict[str, float]:
        """Return the metrics of `metric_names`."""
        # Made anew each time: a seed need not reset all that an environment remembers.
        environments = self._environment.make_evaluation(self._episodes)
        try:
            episodes = play(environments, algorithm.policy, self._seed)
        finally:
            environments.close()
        if self._video:
            self.film = self._film(algorithm)
        returns = np.array([episode[0] for episode in episodes])
        lengths = np.array([episode[1] for episode in episodes])
        values = returns.mean(), returns.std(), returns.min(), returns.max(), lengths.mean()
        return dict(zip(self.metric_names, map(float, values), strict=True))

    def _film(self, algorithm: Playing) -> np.ndarray | None:
        environments = self._environment.make_evaluation(1, render=True)
        camera = _Camera()
        try:
            play(environments, algorithm.policy, self._seed, on_step=camera)
        finally:
            environments.close()
        return camera.film

    def get_state(self) -> dict[str, Any]:
        """Return nothing: every evaluation begins anew."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take nothing back."""


class _Camera:
    """Keeps pictures at an even pace: when they become too many, every second goes and the pace halves."""

    def __init__(self) -> None:
        self._frames: list[np.ndarray] = []
        self._every = 1
        self._seen = 0

    def __call__(self, environments: Environments) -> None:
        if self._seen % self._every == 0:
            frame = environments.render()
            if frame is not None:
                self._frames.append(frame)
        self._seen += 1
        if len(self._frames) > MAX_FRAMES:
            self._frames = self._frames[::2]
            self._every *= 2

    @property
    def film(self) -> np.ndarray | None:
        return np.stack(self._frames) if self._frames else None


def play(
    environments: Environments,
    policy: Player,
    seed: int,
    *,
    on_step: Callable[[Environments], None] | None = None,
) -> list[tuple[float, int]]:
    """Play one episode in each environment.

    Args:
        environments: are reset first.
        policy: chooses its most probable actions.
        seed: of the episodes.
        on_step: looks on before every step.

    Returns:
        Return and length of each.
    """
    environments.reset([seed])
    state = policy.initial_state(environments.num_envs)
    episodes: dict[int, tuple[float, int]] = {}
    while len(episodes) < environments.num_envs:
        if on_step is not None:
            on_step(environments)
        choice = policy.choose(
            environments.observation, action_mask=environments.action_mask, state=state
        )
        environments.step(choice.action)
        for i, episode in zip(environments.finished_envs, environments.finished, strict=True):
            episodes.setdefault(i, episode)
    return [episodes[i] for i in range(environments.num_envs)]
