"""Playing, and learning from what was played lately."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.data.experience import Experience, Transitions
from poke.data.files.described import DataError
from poke.data.files.fingerprint import Fingerprint
from poke.data.play import Play
from poke.data.replay.drawing import Prioritized, Uniform
from poke.data.replay.filling import recorded
from poke.data.replay.ring import Ring
from poke.data.replay.waiting import Waiting
from poke.distributed.ranks import ALONE, Ranks
from poke.protocols import Environment, Explorer

log = logging.getLogger("poke")


class Replay:
    """Source: plays on, and hands over minibatches of what is in its buffer.

    Lin, "Self-Improving Reactive Agents Based on Reinforcement Learning, Planning and Teaching", 1992; Mnih et al.,
    "Human-level Control through Deep Reinforcement Learning", 2015. Observations are kept as they came and normalised
    as they are drawn, by what is known of them then.

    Args:
        environment: makes the environments.
        capacity: transitions that are kept.
        batch_size: transitions a gradient step.
        train_freq: steps of each environment an update.
        updates: gradient steps an update.
        warmup_steps: transitions of drawn actions before anything is learned.
        n_step: how many steps a transition spans.
        alpha: how much an algorithm's errors decide what is drawn; 0: nothing does.
        beta: how much of the bias that makes is taken away at first; all of it after `beta_steps`.
        beta_steps: transitions.
        fill: a recording, or several, that the buffer begins with.
        seed: of environments and draws.
        device: where minibatches are to be.
        episode_window: how many finished episodes the reported mean return and length are taken over.
        ranks: the processes that play and learn together. Each has its share of environments, buffer and minibatch, and
            draws from its own part of the buffer.

    Raises:
        ValueError: an environment gave a reward that is not finite, or forbade every action; or the policy has a
            memory.
        DataError: the recording is missing or wrong, or of another game.
    """

    epoch = 0

    def __init__(
        self,
        environment: Environment,
        *,
        capacity: int,
        batch_size: int,
        train_freq: int = 1,
        updates: int = 1,
        warmup_steps: int = 0,
        n_step: int = 1,
        alpha: float = 0.0,
        beta: float = 0.4,
        beta_steps: int = 1,
        fill: str | Sequence[str] | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        episode_window: int = 100,
        ranks: Ranks = ALONE,
    ) -> None:
        self.environment = environment
        self.observation_space = environment.observation_space
        self.action_space = environment.action_space
        self.observation_clip = environment.observation_clip
        self.fingerprint: Fingerprint | None = None  # of the recording it began with
        self._ranks = ranks
        capacity = ranks.part(capacity, "data.capacity")
        batch_size = ranks.part(batch_size, "data.batch_size")
        self._play = Play(environment, seed=seed, episode_window=episode_window, ranks=ranks)
        self.environments = self._play.environments
        self.masked = self._play.masked
        try:
            self._ring = Ring(
                capacity,
                self.observation_space,
                self.action_space,
                masked=self.masked,
                n_step=n_step,
            )
            self._drawing: Uniform | Prioritized = (
                Prioritized(capacity, alpha, beta) if alpha else Uniform()
            )
            if fill is not None:
                rows, self.fingerprint = recorded(
                    fill,
                    self.observation_space,
                    self.action_space,
                    masked=self.masked,
                    n_step=n_step,
                )
                count = len(rows["length"])
                if count > capacity:
                    log.warning(
                        "data.fill has %s transitions, of which data.capacity=%d keeps the last",
                        f"{count:,}",
                        capacity,
                    )
                own = {name: ranks.share(column) for name, column in rows.items()}
                self._drawing.add(self._ring.extend(own))
        except BaseException:
            self._play.close()
            raise
        self._waiting = Waiting(environment.num_envs, n_step)
        self._batch_size = batch_size
        self._train_freq = train_freq
        self._updates = updates
        self._warmup_steps = warmup_steps
        self._beta, self._beta_steps = beta, beta_steps
        self._device = torch.device(device)
        self._explorer: Explorer | None = None
        self._generator = np.random.default_rng([seed, 2, *([ranks.rank] if ranks.rank else [])])
        self._num_played = 0
        self._fresh: list[int] = []  # places of what this update has added

    @property
    def exact_resume(self) -> bool:
        """Whether a resumed run goes on with the very environments it was stopped with."""
        return self._play.exact_resume

    @property
    def inexact_reason(self) -> str | None:
        """Why it does not, in a few words; None where it does, or nobody said."""
        return self._play.inexact_reason

    def attach(self, algorithm: Explorer) -> None:
        """Let this algorithm choose the actions from now on, and its policy's normaliser learn of what is seen.

        Raises:
            DataError: it does not explore, or its policy has a memory.
        """
        if not hasattr(algorithm, "explore"):
            raise DataError(
                f"data=replay plays by what algo explores, and {type(algorithm).__name__} has no explore"
            )
        if algorithm.policy.initial_state(1) is not None:
            raise DataError("data=replay serves single transitions: leave out network.memory")
        self._explorer = algorithm
        self._play.attach(algorithm.policy)
        if self._play.normalizer is not None and len(self._ring):  # of what it was filled with
            self._play.normalizer.learn(
                self._ring.columns["observation"][: len(self._ring)].numpy()
            )

    def sample(self) -> Experience:
        """Play, and return the minibatches of the update, each of which is drawn as it is asked for."""
        if self._explorer is None:
            raise RuntimeError("attach an algorithm before sampling")
        num_steps = sum(self._round() for _ in range(self._train_freq))
        elsewhere = sum(self._ranks.gather(num_steps)) - num_steps
        self._num_played += elsewhere
        # All at once: a way through the tree costs about the same for one as for many.
        self._drawing.add(np.array(self._fresh, np.int64))
        self._fresh.clear()
        ready = len(self._ring) >= self._batch_size and self._num_played >= self._warmup_steps
        (waiting,) = self._ranks.agree(not ready)
        count = 0 if waiting else self._updates
        return Experience(
            minibatches=self._minibatches(count),
            num_minibatches=count,
            batch_size=self._batch_size,
            num_steps=num_steps + elsewhere,
            metrics=self._play.end_round(),
            # Errors are on the algorithm's device: who does not want them does not wait for them.
            told=self if isinstance(self._drawing, Prioritized) else None,
        )

    def tell(self, rows: Tensor, error: Tensor) -> None:
        """Take note of how wrong the algorithm was, as of `poke.data.experience.Told`."""
        self._drawing.tell(rows.cpu().numpy(), error.cpu().numpy())

    def get_state(self) -> dict[str, Any]:
        """Return buffer, priorities, what waits, and the environments with their half-finished episodes."""
        return {
            "play": self._play.get_state(),
            "ring": self._ring.get_state(),
            "drawing": self._drawing.get_state(),
            "waiting": self._waiting.get_state(),
            "generator": self._generator.bit_generator.state,
            "num_played": self._num_played,
            "ranks": self._ranks.size,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was taken, as `Play.set_state` has it; the buffer is the saved one.

        Raises:
            ValueError: it is of another buffer or environment; or priorities came or went.
        """
        if bool(state["drawing"]) != isinstance(self._drawing, Prioritized):
            raise ValueError("data.alpha came from or went to 0: init_from= starts anew")
        if state.get("ranks", 1) != self._ranks.size:
            raise ValueError(
                f"its replay buffer is in {state.get('ranks', 1)} parts, a rank each, and there are "
                f"{self._ranks.size} ranks: init_from= starts anew"
            )
        goes_on = self._play.set_state(state["play"])  # first: it knows another environment's
        self._ring.set_state(state["ring"])
        self._drawing.set_state(state["drawing"])
        if goes_on:
            self._waiting.set_state(state["waiting"])
        else:
            self._waiting.clear()
        self._generator.bit_generator.state = state["generator"]
        self._num_played = state["num_played"]

    def close(self) -> None:
        """Close the environments."""
        self._play.close()

    def _round(self) -> int:
        """Step every environment until something happened in one, and return in how many it did."""
        while True:
            count = self._step()
            if count:
                self._num_played += count
                return count

    def _step(self) -> int:
        environments, play = self.environments, self._play
        seen, mask, idle = play.seen(), play.legal(), environments.idle.copy()
        before = environments.observation.copy()  # environments write over theirs
        masks = None if mask is None else mask.copy()
        action = np.array(self._act(seen, masks))  # waits for n steps, whoever writes over theirs
        play.step(action)
        void = play.void()
        real = ~idle if void is None else ~(idle | void)
        for i in np.flatnonzero(real).tolist():
            self._take(i, before[i], action[i], None if masks is None else masks[i])
        return int(np.count_nonzero(real))

    def _act(self, seen: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        assert self._explorer is not None
        if self._num_played < self._warmup_steps:
            return self.action_space.draw(self._generator, len(seen), mask)
        return self._explorer.explore(seen, mask)

    def _take(
        self, i: int, observation: np.ndarray, action: np.ndarray, mask: np.ndarray | None
    ) -> None:
        """Take what environment i's last step has made of a decision, and of those that waited for it."""
        environments, waiting = self.environments, self._waiting
        reward = float(environments.reward[i])
        if not np.isfinite(reward):
            raise ValueError(f"environment {i} gave a reward of {reward}")
        decision = {"observation": observation, "action": action}
        if mask is not None:
            decision["action_mask"] = mask
        for row in waiting.ripe(i, decision):
            self._fresh.append(self._ring.append(row))
        waiting.add(i, decision, reward)
        if environments.terminated[i] or environments.truncated[i]:
            done = bool(environments.terminated[i])
            for row in waiting.flush(i, self._final(i), terminated=done):
                self._fresh.append(self._ring.append(row))

    def _final(self, i: int) -> dict[str, Any] | None:
        """What environment i showed last; None where it began anew at once and took the mask with it."""
        finals = self.environments.final_observations
        if i in finals:
            return None if self.masked else {"next_observation": finals[i]}
        mask = self.environments.action_mask
        shown = {"next_observation": self.environments.observation[i]}
        return shown if mask is None else {**shown, "next_action_mask": mask[i]}

    def _minibatches(self, count: int) -> Iterator[Transitions]:
        for _ in range(count):
            if isinstance(self._drawing, Prioritized):
                progress = min(1.0, self._num_played / self._beta_steps)
                self._drawing.beta = self._beta + (1 - self._beta) * progress
            places, weight = self._drawing.draw(self._batch_size, len(self._ring), self._generator)
            yield self._served(self._ring.select(places), weight)

    def _served(self, part: Transitions, weight: np.ndarray | None) -> Transitions:
        """Transitions as the algorithm gets them: normalised, weighted, on its device."""
        changes: dict[str, Any] = {}
        if self._play.normalizer is not None:
            for name in ("observation", "next_observation"):
                seen = self._play.normalized(getattr(part, name).numpy())
                changes[name] = torch.from_numpy(seen)
        if weight is not None:
            changes["weight"] = torch.from_numpy(weight)
        part = replace(part, **changes) if changes else part
        return part if self._device.type == "cpu" else part.to(self._device)
