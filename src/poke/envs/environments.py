"""Environments as training and evaluation see them: counted, rewards scaled, and saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from poke.distributed.ranks import ALONE, Ranks
from poke.envs.normalization import RewardScaler
from poke.spaces import ActionSpace


class Stepper(Protocol):
    """Several environments; the arrays are overwritten by every step."""

    num_envs: int
    # Whether what ends begins anew in that very step: none is ever idle, and `final_observations` names what ended.
    resets_at_once: bool
    members: Sequence[Any]  # the environments themselves, where they are in this process
    observation: np.ndarray  # [num_envs, *shape]
    action_mask: np.ndarray | None  # [num_envs, mask_size] bool; None where there never is one
    reward: np.ndarray  # [num_envs] float64
    terminated: np.ndarray  # [num_envs] bool
    truncated: np.ndarray  # [num_envs] bool
    idle: np.ndarray  # [num_envs] bool: the next step only resets
    final_observations: dict[int, np.ndarray]  # of those that ended and began anew in the last step

    def reset(self, seeds: Sequence[int]) -> None:
        """Begin an episode in every environment, each from its seed."""

    def step(self, action: np.ndarray) -> None:
        """Do an action, `[num_envs, ...]`, in every environment; idle ones begin anew and do nothing else."""

    def get_state(self) -> Any:
        """Return the state of every environment, from which `set_state` goes on."""

    def set_state(self, state: Any) -> None:
        """Go on from what `get_state` returned."""

    def render(self) -> np.ndarray | None:
        """Return a picture of the first environment, `[height, width, 3] uint8`; None where it draws none."""

    def close(self) -> None:
        """Let go of the environments, and of the processes that they run in."""


class Environments:
    """Several environments stepped together.

    Args:
        stepper: runs them.
        action_space: makes a policy's actions the environments' own.
        scaler: of rewards; None to leave them.
        inexact_reason: why the stepper's state may not be all there is, None where it is
            (`poke.envs.gym.exactness`).
        episode_limit: how many steps an episode has at most; None where that is not known.
        ranks: the processes that share more environments, of which these are one's.
    """

    def __init__(
        self,
        stepper: Stepper,
        action_space: ActionSpace,
        *,
        scaler: RewardScaler | None = None,
        inexact_reason: str | None = "nobody tried it",
        episode_limit: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._stepper = stepper
        self._scaler = scaler
        self._ranks = ranks
        self.moments = () if scaler is None else (scaler.moments,)
        self.action_space = action_space
        self.inexact_reason = inexact_reason
        self.episode_limit = episode_limit
        self.num_envs = stepper.num_envs
        self.observation = stepper.observation
        self.action_mask = stepper.action_mask
        self.reward = np.zeros(self.num_envs, np.float32)
        self.terminated = np.zeros(self.num_envs, np.bool_)
        self.truncated = np.zeros(self.num_envs, np.bool_)
        self.idle = np.zeros(self.num_envs, np.bool_)
        self.final_observations: dict[int, np.ndarray] = {}
        self.finished: list[tuple[float, int]] = []
        self.finished_envs: list[int] = []
        self.begun: list[int] = []  # whose observation now is the first of an episode
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)

    @property
    def exact_state(self) -> bool:
        """Whether `get_state` holds all of the environments, so that they go on where it was taken."""
        return self.inexact_reason is None

    @property
    def members(self) -> Sequence[Any]:
        """The environments themselves; none where they are in other processes."""
        return self._stepper.members

    def reset(self, entropy: Sequence[int]) -> None:
        """Begin new episodes.

        Args:
            entropy: numbers that decide every environment's seed, such as the run's seed.
        """
        together = self.num_envs * self._ranks.size
        seeds = self._ranks.share(np.random.SeedSequence(list(entropy)).generate_state(together))
        # Some environments take seeds of 31 bits only.
        self._stepper.reset((seeds >> 1).tolist())
        self._returns.fill(0)
        self._lengths.fill(0)
        self.begun = list(range(self.num_envs))
        self._observe()

    def step(self, action: np.ndarray) -> None:
        """Step every environment.

        Args:
            action: `[num_envs, *action_shape]`, a policy's own.
        """
        stepper = self._stepper
        # Where all begin anew at once, nothing need be searched: in small environments that is a tenth of a step.
        at_once = stepper.resets_at_once
        was_idle = None if at_once or not self.idle.any() else self.idle.copy()
        stepper.step(self.action_space.to_environment(action))
        self._returns += stepper.reward
        self._lengths += 1
        if was_idle is not None:
            self._lengths[was_idle] = 0
        self.terminated, self.truncated = stepper.terminated, stepper.truncated
        if self.finished:
            self.finished, self.finished_envs = [], []
        if self.begun:
            self.begun = []
        ended = bool(stepper.final_observations)
        if not at_once:
            ended = bool(self.terminated.any() or self.truncated.any())
        if ended:
            self._finish(self.terminated | self.truncated)
        if was_idle is not None:
            self.begun = np.flatnonzero(was_idle).tolist()
        elif self.finished:
            self.begun = list(stepper.final_observations)
        if self._scaler is None:
            self.reward[:] = stepper.reward
        else:
            last = self.terminated | self.truncated
            counted = np.ones_like(last) if was_idle is None else ~was_idle
            self.reward[:] = self._scaler(stepper.reward, last, counted)
        self._observe()

    def get_state(self) -> dict[str, Any]:
        """Return the environments, where they can be copied exactly, and the statistics in any case."""
        state: dict[str, Any] = {"environments": None}
        if self.exact_state:
            state["environments"] = self._stepper.get_state()
            state["observation"] = torch.from_numpy(self.observation.copy())
            state["idle"] = self.idle.tolist()
            state["returns"] = self._returns.tolist()
            state["lengths"] = self._lengths.tolist()
            if self.action_mask is not None:
                state["action_mask"] = torch.from_numpy(self.action_mask.copy())
        if self._scaler is not None:
            state["scaler"] = self._scaler.get_state()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned where `exact_state` is true.

        Raises:
            ValueError: the state does not fit, as in `restart`, or is of another number of environments.
        """
        if len(state["idle"]) != self.num_envs:
            raise ValueError(
                f"the state is of {len(state['idle'])} environments, and env.num_envs is {self.num_envs}"
            )
        self._check_scaler(state)
        if self._scaler is not None:
            self._scaler.set_state(state["scaler"])
        self._stepper.set_state(state["environments"])
        self.observation[...] = state["observation"].numpy()
        self._stepper.idle[:] = self.idle[:] = state["idle"]
        self._returns[:] = state["returns"]
        self._lengths[:] = state["lengths"]
        if "action_mask" in state and self.action_mask is not None:
            self.action_mask[...] = state["action_mask"].numpy()

    def restart(self, state: Mapping[str, Any], entropy: Sequence[int]) -> None:
        """Begin new episodes with what earlier environments, these or others, have learned of rewards.

        Args:
            state: of `get_state`; what it holds of each environment is left.
            entropy: as of `reset`.

        Raises:
            ValueError: rewards were normalised and are not, or the reverse.
        """
        self._check_scaler(state)
        if self._scaler is not None:
            self._scaler.restart(state["scaler"])
        self.reset(entropy)

    def so_far(self, i: int) -> tuple[float, int]:
        """Return what return and length the episode has that environment `i` plays."""
        return float(self._returns[i]), int(self._lengths[i])

    def random_actions(self, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield random legal actions for every environment, for ever."""
        while True:
            if self.action_space.continuous:
                size = (self.num_envs, *self.action_space.action_shape)
                yield generator.uniform(-1, 1, size).astype(np.float32)
                continue
            chance = generator.random((self.num_envs, sum(self.action_space.sizes)))
            if self.action_mask is not None:
                chance[~self.action_mask] = -1
            ends = np.cumsum(self.action_space.sizes)[:-1]
            parts = [part.argmax(axis=1) for part in np.split(chance, ends, axis=1)]
            yield np.stack(parts, axis=1).reshape(self.num_envs, *self.action_space.action_shape)

    def render(self) -> np.ndarray | None:
        """Return the first environment's picture, `[height, width, 3]` uint8, or None where it has none."""
        return self._stepper.render()

    def close(self) -> None:
        """Close the environments."""
        self._stepper.close()

    def _check_scaler(self, state: Mapping[str, Any]) -> None:
        if ("scaler" in state) != (self._scaler is not None):
            now, then = (str(on).lower() for on in (self._scaler is not None, "scaler" in state))
            raise ValueError(
                f"env.normalize_reward is {now}, was {then}: what was learned of the one does not fit the other"
            )

    def _finish(self, ended: np.ndarray) -> None:
        self.finished_envs = np.flatnonzero(ended).tolist()
        self.finished = [
            (float(self._returns[i]), int(self._lengths[i])) for i in self.finished_envs
        ]
        self._returns[ended] = 0
        self._lengths[ended] = 0

    def _observe(self) -> None:
        stepper = self._stepper
        self.action_mask = stepper.action_mask
        if not stepper.resets_at_once:
            np.copyto(self.idle, stepper.idle)
        self.final_observations = stepper.final_observations
