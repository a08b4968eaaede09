"""How well a policy plays: whole episodes on environments of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from poke.envs.environments import Environments
from poke.spaces import ObservationSpace

log = logging.getLogger("poke")

MAX_FRAMES = 200  # of a film
MAX_STEPS = 27_000  # of an episode that nothing limits: half an hour of an Atari game


class Chosen(Protocol):
    """What a policy chose."""

    @property
    def action(self) -> np.ndarray:
        """`[batch, ...]`, as the action space has them."""


class Player(Protocol):
    """A policy, as `poke.policies.policy.Policy` is one."""

    observation_space: ObservationSpace

    def choose(
        self,
        observation: np.ndarray,
        *,
        action_mask: np.ndarray | None = None,
        state: Any = None,
        explore: bool = False,
        generator: np.random.Generator | None = None,
    ) -> Chosen:
        """Choose an action for every observation, `[batch, *shape]`."""

    def initial_state(self, batch_size: int) -> Any:
        """Return what the policy remembers as episodes begin; None where it remembers nothing."""


class Playing(Protocol):
    """An algorithm with a policy."""

    policy: Player


class EvaluatedEnvironment(Protocol):
    """Makes environments for evaluation."""

    def make_evaluation(self, num_envs: int, *, render: bool = False) -> Environments:
        """Return environments of evaluation's own, which draw pictures where `render` asks for them."""


class EpisodeEvaluator:
    """Evaluator: plays the same episodes at every evaluation.

    Every environment plays one episode, all of them side by side, begun from seeds that neither the run's seed nor
    training decides; so runs and moments of a run are judged on the same beginnings.

    Args:
        environment: makes the environments.
        episodes: how many.
        seed: of the episodes, and of what is drawn when exploring.
        explore: sample actions, instead of the most probable.
        max_episode_steps: cut episodes off here; None for the environment's own limit, or 27,000 steps where it is not
            known to have one. What is cut counts as far as it went.
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
        explore: bool = False,
        max_episode_steps: int | None = None,
        video: bool = False,
    ) -> None:
        self._environment = environment
        self._episodes = episodes
        self._seed = seed
        self._explore = explore
        self._max_episode_steps = max_episode_steps
        self._told = False
        self._video = video
        self.film: np.ndarray | None = (
            None  # `[time, height, width, 3] uint8` of the last evaluation
        )

    def evaluate(self, algorithm: Playing) -> dict[str, float]:
        """Return the metrics of `metric_names`."""
        episodes, num_cut = self._play(algorithm, self._episodes)
        if num_cut and not self._told:
            self._told = True
            log.warning(
                "%d of %d episodes of evaluation did not end, were cut and count as far as they went "
                "(eval.max_episode_steps sets where)",
                num_cut,
                len(episodes),
            )
        if self._video:
            self.film = self._film(algorithm)
        returns = np.array([episode[0] for episode in episodes])
        lengths = np.array([episode[1] for episode in episodes])
        values = returns.mean(), returns.std(), returns.min(), returns.max(), lengths.mean()
        return dict(zip(self.metric_names, map(float, values), strict=True))

    def _film(self, algorithm: Playing) -> np.ndarray | None:
        camera = _Camera()
        self._play(algorithm, 1, render=True, on_step=camera)
        return camera.film

    def _play(
        self,
        algorithm: Playing,
        num_envs: int,
        *,
        render: bool = False,
        on_step: Callable[[Environments], None] | None = None,
    ) -> tuple[list[tuple[float, int]], int]:
        # Made anew each time: a seed need not reset all that an environment remembers.
        environments = self._environment.make_evaluation(num_envs, render=render)
        try:
            return play(
                environments,
                algorithm.policy,
                self._seed,
                # A generator of its own, so that training draws what it would without evaluation.
                generator=np.random.default_rng([self._seed, 1]) if self._explore else None,
                max_steps=self._max_episode_steps or default_limit(environments),
                on_step=on_step,
            )
        finally:
            environments.close()

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


def default_limit(environments: Environments) -> int | None:
    """Return after how many steps an episode is cut: never where the environment has a limit of its own."""
    return MAX_STEPS if environments.episode_limit is None else None


def play(
    environments: Environments,
    policy: Player,
    seed: int,
    *,
    generator: np.random.Generator | None = None,
    max_steps: int | None = None,
    on_step: Callable[[Environments], None] | None = None,
) -> tuple[list[tuple[float, int]], int]:
    """Play one episode in each environment.

    Args:
        environments: are reset first.
        policy: chooses the actions.
        seed: of the episodes.
        generator: what actions are drawn with; None for the most probable ones.
        max_steps: cut episodes off here; None for no limit.
        on_step: looks on before every step.

    Returns:
        Return and length of each, and how many were cut.

    Raises:
        ValueError: an environment forbade every action.
    """
    environments.reset([seed])
    state = policy.initial_state(environments.num_envs)
    episodes: dict[int, tuple[float, int]] = {}
    playing = range(environments.num_envs)
    steps = 0
    while len(episodes) < len(playing) and steps != max_steps:
        if on_step is not None:
            on_step(environments)
        act(environments, policy, state, generator)
        steps += 1
        for i, episode in zip(environments.finished_envs, environments.finished, strict=True):
            episodes.setdefault(i, episode)
    cut = [i for i in playing if i not in episodes]
    return [episodes.get(i) or environments.so_far(i) for i in playing], len(cut)


def act(
    environments: Environments,
    policy: Player,
    state: Any,
    generator: np.random.Generator | None = None,
) -> np.ndarray:
    """Let a policy act once in every environment, and return its actions.

    Args:
        environments: are stepped.
        policy: chooses.
        state: its memory, which forgets where an episode begins; None where it has none.
        generator: as of `play`.

    Raises:
        ValueError: as of `play`.
    """
    mask = environments.action_mask
    if mask is not None and not mask.any(axis=1).all():
        raise ValueError("the environment's action mask forbids every action")
    choice = policy.choose(
        environments.observation,
        action_mask=mask,
        state=state,
        explore=generator is not None,
        generator=generator,
    )
    environments.step(choice.action)
    if state is not None and environments.begun:
        state.reset(environments.begun)
    return choice.action
