"""Playing in environments side by side: what a source that plays keeps of it from one update to the next."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from poke.data.episodes import LatestEpisodes
from poke.distributed.moments import CommonMoments
from poke.distributed.ranks import ALONE, Ranks
from poke.protocols import Environment, VectorEnvironmentDefaults
from poke.spaces import ObservationNormalizer

log = logging.getLogger("poke")


class Remembered(Protocol):
    """A policy's memory of the episodes it plays side by side."""

    values: np.ndarray  # [num_envs, state_size] float32

    def reset(self, rows: Any = ...) -> None:
        """Forget these episodes."""
        ...

    def copy(self, rows: Any = ...) -> Any:
        """Return what is remembered of these, to move on apart from this."""
        ...


class Play:
    """Environments under way, with what the policy's normaliser and memory make of them, and how episodes went.

    Args:
        environment: makes the environments.
        seed: of the environments.
        episode_window: how many finished episodes the reported mean return and length are taken over.
        ranks: the processes that learn together; what they learn of observations and rewards is common at the end of
            every round, and so is what is told of episodes.
    """

    def __init__(
        self, environment: Environment, *, seed: int, episode_window: int, ranks: Ranks = ALONE
    ) -> None:
        self.environments = environment.make()
        try:
            self.environments.reset([seed, 0])
        except BaseException:
            self.environments.close()
            raise
        self.normalizer: ObservationNormalizer | None = None
        self.memory: Remembered | None = None
        self.num_rounds = 0
        self._ranks = ranks
        self._finished: list[tuple[float, int]] = []  # of this rank in this round
        self._common: list[CommonMoments] = []
        self._settings = dict(getattr(environment, "settings", {}))
        self._seed = seed
        self._episodes = LatestEpisodes(episode_window)
        # What to act on next, normalised; None while the normaliser has yet to learn of it.
        self._seen: np.ndarray | None = None
        # Where that is the first of an episode.
        self.begins = np.ones(environment.num_envs, np.bool_)
        self.masked = self.environments.action_mask is not None
        self.tells_of_opponents = told(self.environments, "opponent_action") is not None

    @property
    def exact_resume(self) -> bool:
        """Whether a resumed run goes on with the very environments it was stopped with."""
        return self.environments.exact_state

    @property
    def inexact_reason(self) -> str | None:
        """Why it does not, in a few words; None where it does, or nobody said."""
        return getattr(self.environments, "inexact_reason", None)

    def attach(self, policy: Any) -> None:
        """Let the policy's normaliser learn of what is seen, and its memory move on."""
        if hasattr(self.environments, "attach"):
            self.environments.attach(policy)
        self.normalizer = policy.normalizer
        self.memory = policy.initial_state(self.environments.num_envs)
        self._seen = None

    def seen(self) -> np.ndarray:
        """Return what is to be acted on, `[num_envs, *observation_shape]`, normalised where there is a normaliser."""
        self._begin_round()
        return self._see() if self._seen is None else self._seen

    def legal(self) -> np.ndarray | None:
        """Return the action mask, `[num_envs, mask_size]` bool; None where there is none.

        Raises:
            ValueError: it forbids every action of an environment.
        """
        mask = self.environments.action_mask
        if mask is not None and not mask.any(axis=1).all():
            raise ValueError("the environment's action mask forbids every action")
        return mask

    def step(self, action: np.ndarray) -> np.ndarray:
        """Step every environment, and let the normaliser learn of what that led to.

        Returns:
            What is seen then, as of `seen`.
        """
        self._begin_round()
        self.environments.step(action)
        if self.environments.finished:
            self._finished.extend(self.environments.finished)
        return self._see()

    def void(self) -> np.ndarray | None:
        """Return where the last step was none, `[num_envs]` bool; None where there is no such thing."""
        void: np.ndarray | None = told(self.environments, "void")
        return void

    def move_on(self, idle: np.ndarray, void: np.ndarray | None) -> None:
        """Take note of what began anew in the last step, and forget what was before it.

        Args:
            idle: `[num_envs]` bool: which environments were waiting to be reset before the step.
            void: as of `void`.
        """
        environments = self.environments
        # What ended has begun anew, unless it waits for that, and so has what was waiting.
        ended = (
            environments.terminated
            | environments.truncated
            | (idle if void is None else idle & ~void)
        )
        self.begins = ended & ~environments.idle
        if self.memory is not None:
            self.memory.reset(self.begins)

    def normalized(self, observation: np.ndarray) -> np.ndarray:
        """Return observations as the policy sees them; nothing is learned of them."""
        return observation if self.normalizer is None else self.normalizer(observation)

    @property
    def moments(self) -> Sequence[Any]:
        """What is learned here of rewards, and of observations where there is a normaliser."""
        learned = list(told(self.environments, "moments"))
        if self.normalizer is not None:
            learned.append(self.normalizer.moments)
        return learned

    def take_finished(self) -> list[tuple[float, int]]:
        """Return return and length of the episodes that this rank has finished since it was last asked."""
        finished, self._finished = self._finished, []
        return finished

    def metrics(self) -> dict[str, float]:
        """Return what environments tell besides their episodes."""
        return dict(self.environments.metrics()) if hasattr(self.environments, "metrics") else {}

    def end_round(self) -> dict[str, float]:
        """Return what there is to tell of episodes, and begin to count them anew."""
        finished = [e for part in self._ranks.gather(self.take_finished()) for e in part]
        for moments in self._common:
            moments.join(self._ranks)
        self._common = []
        self.num_rounds += 1
        return self._episodes.tell(finished) | self.metrics()

    def _begin_round(self) -> None:
        """Note what is known in common, before this rank learns more of it."""
        if self._ranks.size == 1 or self._common:
            return
        self._common = [CommonMoments(moments) for moments in self.moments]

    def get_state(self) -> dict[str, Any]:
        """Return the environments with their half-finished episodes, and the returns of those just finished."""
        return {
            "environments": self.environments.get_state(),
            "seen": None if self.normalizer is None else _tensor(self._seen),
            "memory": None if self.memory is None else _tensor(self.memory.values),
            "begins": self.begins.tolist(),
            "exact": self.exact_resume,
            "settings": self._settings,
            "num_rollouts": self.num_rounds,
            "recent_episodes": self._episodes.get_state(),
            **({"finished": list(self._finished)} if self._finished else {}),
        }

    def set_state(self, state: Mapping[str, Any]) -> bool:
        """Go on where the state was taken.

        Environments that cannot be copied, or that were given other values than those of the state, begin new episodes
        that the run has not begun with; what was learned of observations and rewards is kept.

        Returns:
            Whether the episodes under way go on.

        Raises:
            ValueError: it is of another environment, or does not fit as its environments say.
        """
        # A state from before settings were kept is taken to be of these.
        then, now = state.get("settings", self._settings), self._settings
        changes = [
            f"env.{name} is {now.get(name, 'not given')}, was {then.get(name, 'not given')}"
            for name in {**now, **then}
            if now.get(name) != then.get(name)
        ]
        if any(now.get(name) != then.get(name) for name in ("id", "format")):
            raise ValueError(f"{changes[0]}: a run goes on in the environment it began with")
        self.num_rounds = state["num_rollouts"]
        self._episodes.set_state(state["recent_episodes"])
        self._finished = [(episode[0], episode[1]) for episode in state.get("finished", [])]
        anew = bool(changes) or not (self.exact_resume and state.get("exact", True))
        if anew:
            self.environments.restart(state["environments"], [self._seed, self.num_rounds])
            # Learned of when playing goes on: the normaliser may be restored after this.
            self._seen = None
            self.begins.fill(True)
            if self.memory is not None:
                self.memory.reset()
        else:
            self.environments.set_state(state["environments"])
            # The normaliser learned of it before the state was taken, if anything had been played.
            seen = state["seen"]
            self._seen = None if seen is None else seen.numpy().copy()
            self.begins = np.array(state.get("begins", self.begins), np.bool_)
            if self.memory is not None:
                self.memory.values[...] = state["memory"].numpy()
        if changes:
            log.info("%s: all episodes begin anew", ", ".join(changes))
        return not anew

    def is_shared_as(self, state: Mapping[str, Any]) -> bool:
        """Whether a state is of as many ranks as play now."""
        then = state.get("settings", self._settings)
        return bool(then.get("ranks") == self._settings.get("ranks"))

    def close(self) -> None:
        """Close the environments."""
        self.environments.close()

    def _see(self) -> np.ndarray:
        """Let the normaliser learn of the environments' observations, and return what it makes of them."""
        seen = self.environments.observation
        if self.normalizer is not None:
            self.normalizer.learn(seen)
            seen = self.normalizer(seen)
        self._seen = seen
        return seen


def told(environments: Any, name: str) -> Any:
    """Return what environments tell besides what all do, see `poke.protocols.VectorEnvironmentDefaults`."""
    return getattr(environments, name, getattr(VectorEnvironmentDefaults, name))


def _tensor(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array.copy())
