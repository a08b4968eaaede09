"""Experience collected by playing: preallocated blocks of transitions, one filled anew for every update.

With `overlap` a block is played while the one before is learned from, so that it is by weights of one update before, as
in Petrenko et al., "Sample Factory: Egocentric 3D Control from Pixels at 100000 FPS with Asynchronous Reinforcement
Learning", ICML 2020, section 3.2 (double buffering), of which this keeps one block and no more: which weights play a
block is decided by its number, not by the clock, so that runs repeat and resume exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from poke.data.ahead import Ahead
from poke.data.block import Rollout
from poke.data.play import Play, told
from poke.distributed.ranks import ALONE, Ranks
from poke.protocols import Actor, Environment


class Collector:
    """Source: plays `num_steps` in every environment and hands over the block.

    Args:
        environment: makes the environments.
        num_steps: transitions of each environment an update.
        seed: of the environments.
        episode_window: how many finished episodes the reported mean return and length are taken over.
        overlap: play each block while the one before is learned from, by a copy of the policy.
        copy_policy: makes that copy of a policy's state.
        ranks: the processes that play and learn together, each in its share of the environments.

    Raises:
        ValueError: an environment gave a reward that is not finite, or forbade every action; or `overlap`, and the
            algorithm has no `understudy` that could play meanwhile.
    """

    epoch = 0

    def __init__(
        self,
        environment: Environment,
        *,
        num_steps: int,
        seed: int = 0,
        episode_window: int = 100,
        overlap: bool = False,
        copy_policy: Callable[[Mapping[str, Any]], Any] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.environment = environment
        self.observation_space = environment.observation_space
        self.action_space = environment.action_space
        self.observation_clip = environment.observation_clip
        self._ranks = ranks
        self._play = Play(environment, seed=seed, episode_window=episode_window, ranks=ranks)
        self.environments = self._play.environments
        self.masked = self._play.masked
        self._num_steps = num_steps
        self._copy_policy = copy_policy
        self._ahead = Ahead(self._collect) if overlap else None
        self._learner: Any = None
        self._actor: Any = None  # who plays: the learner, or with overlap its understudy
        self._blocks: list[Rollout]

    @property
    def exact_resume(self) -> bool:
        """Whether a resumed run goes on with the very environments it was stopped with."""
        return self._play.exact_resume

    @property
    def inexact_reason(self) -> str | None:
        """Why it does not, in a few words; None where it does, or nobody said."""
        return self._play.inexact_reason

    def attach(self, algorithm: Actor) -> None:
        """Let this algorithm choose the actions from now on, and its policy's normaliser learn of what is seen."""
        self._learner = algorithm
        self._actor = algorithm if self._ahead is None else self._understudy()
        self._play.attach(self._actor.policy)
        self._blocks = [self._block() for _ in range(1 if self._ahead is None else 2)]

    def sample(self) -> Rollout:
        """Play and return the block; the next call overwrites it."""
        if self._actor is None:
            raise RuntimeError("attach an algorithm before sampling")
        if self._ahead is not None:
            return self._sample_ahead(self._ahead)
        (rollout,) = self._blocks
        self._collect(rollout)
        return self._told(rollout)

    def _sample_ahead(self, ahead: Ahead) -> Rollout:
        """Return the block that was played meanwhile, and begin to play the next by the weights of now."""
        learner, actor = self._learner.policy, self._actor.policy
        rollout = ahead.take()
        if rollout is None:  # nothing to learn from yet
            actor.set_state(learner.get_state())
            rollout = self._blocks[0]
            self._collect(rollout)
        self._told(rollout)
        if learner.normalizer is not None:
            learner.normalizer.set_state(actor.normalizer.get_state())
        actor.network.set_weights(learner.network.get_weights())
        ahead.begin(self._blocks[1] if rollout is self._blocks[0] else self._blocks[0])
        return rollout

    def _collect(self, rollout: Rollout) -> None:
        """Fill a block, wherever this runs: it uses who plays and what is played, and no other rank."""
        play, environments, actor = self._play, self.environments, self._actor
        memory = () if play.memory is None else (play.memory,)
        seen = play.seen()
        rollout.final_value.fill(0)
        for t in range(self._num_steps):
            if play.memory is not None:
                rollout.begins[t] = play.begins
                if t == 0:
                    rollout.state[...] = play.memory.values
            rollout.observation[t] = seen
            rollout.idle[t] = environments.idle
            mask = play.legal()
            if mask is not None and rollout.action_mask is not None:
                rollout.action_mask[t] = mask
            action, rollout.log_prob[t], rollout.value[t] = actor.rollout_step(
                rollout.observation[t], mask, *memory
            )
            rollout.action[t] = action
            seen = play.step(action)
            rollout.reward[t] = environments.reward
            rollout.terminated[t] = environments.terminated
            rollout.truncated[t] = environments.truncated
            void = play.void()
            if void is not None:
                rollout.void[t] = void
                rollout.idle[t] |= void
            if play.tells_of_opponents:
                rollout.opponent_action[t] = told(environments, "opponent_action")
            if environments.finished:
                for i, final in environments.final_observations.items():
                    if environments.truncated[i] and not environments.terminated[i]:
                        rollout.final_value[t, i] = self._final_value(final[None], i)
            if play.memory is not None:
                play.move_on(rollout.idle[t], void)
        rollout.last_value[...] = actor.value(seen, *(m.copy() for m in memory))
        rollout.last_idle[...] = environments.idle
        if not np.isfinite(rollout.reward).all():
            t, i = np.argwhere(~np.isfinite(rollout.reward))[0]
            raise ValueError(f"environment {i} gave a reward of {rollout.reward[t, i]}")

    def _told(self, rollout: Rollout) -> Rollout:
        """Return a block with what is to be told of it."""
        elsewhere = sum(self._ranks.gather(rollout.num_samples)) - rollout.num_samples
        rollout.num_elsewhere = elsewhere
        rollout.metrics = self._play.end_round()
        return rollout

    def get_state(self) -> dict[str, Any]:
        """Return the environments with their half-finished episodes, and the returns of those just finished.

        With overlap also the block that is played ahead, which is waited for, and who plays.
        """
        if self._ahead is None:
            return self._play.get_state()
        block = self._ahead.block()
        normalizer = self._actor.policy.normalizer
        return {
            **self._play.get_state(),
            "ahead": None if block is None else block.get_state(),
            "actor": self._actor.get_state(),
            "normalizer": None if normalizer is None else normalizer.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was taken, as `Play.set_state` has it.

        Raises:
            ValueError: likewise; or a block was played ahead, and there is no overlap.
        """
        block = state.get("ahead")
        if self._ahead is None:
            if block is not None:
                raise ValueError(
                    "data.overlap was true and is false: the block that was played ahead would be lost"
                )
            self._play.set_state(state)
            return
        self._ahead.put(None)
        if "actor" in state:
            self._actor.set_state(state["actor"])
            if state["normalizer"] is not None:
                self._actor.policy.normalizer.set_state(state["normalizer"])
        else:  # of a run without overlap, whose draws go on
            self._actor.set_state(self._learner.understudy(self._actor.policy).get_state())
        self._play.set_state(state)
        # Of other ranks' environments it is no part of a block of these.
        if block is not None and self._play.is_shared_as(state):
            self._blocks[0].set_state(block)
            self._ahead.put(self._blocks[0])

    def close(self) -> None:
        """Close the environments."""
        if self._ahead is not None:
            self._ahead.close()
        self._play.close()

    def _understudy(self) -> Any:
        """Return who plays while the learner learns."""
        if not hasattr(self._learner, "understudy") or self._copy_policy is None:
            name = type(self._learner).__name__
            raise ValueError(
                f"data.overlap=true needs an algorithm that has an understudy, {name} has none"
            )
        return self._learner.understudy(self._copy_policy(self._learner.policy.get_state()))

    def _block(self) -> Rollout:
        memory = self._play.memory
        return Rollout(
            self._num_steps,
            self.environments.num_envs,
            self.observation_space,
            self.action_space,
            self.masked,
            state_size=0 if memory is None else memory.values.shape[1],
        )

    def _final_value(self, observation: np.ndarray, i: int) -> float:
        """Return the value of environment i's last observation, `[1, *shape]`, which nothing is learned of."""
        assert self._actor is not None
        observation, memory = self._play.normalized(observation), self._play.memory
        if memory is None:
            return float(self._actor.value(observation)[0])
        return float(self._actor.value(observation, memory.copy([i]))[0])
