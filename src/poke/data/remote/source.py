"""Experience collected by players in other processes, on this machine or others.

Every update waits for a block of each player, all by the weights of now. So nobody plays by weights of before, which
Espeholt et al., "IMPALA: Scalable Distributed Deep-RL with Importance Weighted Actor-Learner Architectures", ICML 2018,
allow and correct for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from poke.data.block import Rollout
from poke.data.episodes import LatestEpisodes
from poke.data.remote.cluster import RayCluster
from poke.data.remote.crew import Cluster, Crew
from poke.data.remote.player import Order, Played, begin
from poke.distributed.moments import CommonMoments
from poke.protocols import Actor, Environment
from poke.spaces import RunningMoments


class RemoteCollector:
    """Source: has `num_steps` played in every environment, by actors in a cluster, and hands over the block.

    Each actor has an equal share of the environments, with seeds and draws of its own; the block has them in the order
    of actors. What is learned of observations and rewards is joined after every block.

    Args:
        environment: describes the environments.
        num_steps: transitions of each environment an update.
        num_actors: how many processes play.
        address: of a Ray cluster, as ``ray.init`` has it: ``local`` starts one here, which ends with this; ``auto``,
            ``ray://HOST:PORT`` or ``HOST:PORT`` joins one.
        episode_window: how many finished episodes the reported mean return and length are taken over.
        seed: of the actors.
        make_player: returns what plays, when called with the node of its source, its seed and how many environments.
        join: returns the cluster, when called with `address` and `num_actors`.

    Raises:
        ValueError: actors cannot share the environments equally, or there is no such cluster.
        CrewError: an actor is lost again and again.
        Exception: what was raised while an actor made its environments, or played.
    """

    epoch = 0
    exact_resume = False
    inexact_reason = "environments in a cluster are not saved"

    def __init__(
        self,
        environment: Environment,
        *,
        num_steps: int,
        num_actors: int,
        make_player: Callable[..., Any],
        address: str = "local",
        episode_window: int = 100,
        seed: int = 0,
        join: Callable[[str, int], Cluster] = RayCluster,
    ) -> None:
        if environment.num_envs % num_actors:
            raise ValueError(
                f"env.num_envs={environment.num_envs} cannot be shared equally by data.num_actors={num_actors}"
            )
        self.observation_space = environment.observation_space
        self.action_space = environment.action_space
        self.observation_clip = environment.observation_clip
        self._num_steps = num_steps
        self._num_envs = environment.num_envs
        self._share = environment.num_envs // num_actors
        self._episodes = LatestEpisodes(episode_window)
        self._learner: Any = None
        node = {
            "_target_": "poke.data.remote.Player",
            "num_steps": num_steps,
            "episode_window": episode_window,
        }

        def player(seed: int, state: Mapping[str, Any] | None) -> Callable[[], Any]:
            how = {"data": node, "num_envs": self._share, "seed": seed}
            return functools.partial(begin, make_player, how, state)

        cluster = join(address, num_actors)
        try:
            self._crew = Crew(cluster, num_actors, player, seed)
            traits = self._crew.traits()
        except BaseException:
            cluster.close()
            raise
        self.masked = traits.masked
        self._moments = [RunningMoments(shape) for shape in traits.moments]  # of rewards

    def attach(self, algorithm: Actor) -> None:
        """Let actors play by this algorithm's policy from now on, and its normaliser learn of what they see."""
        self._learner = algorithm
        memory = algorithm.policy.initial_state(1)
        self._block = Rollout(
            self._num_steps,
            self._num_envs,
            self.observation_space,
            self.action_space,
            self.masked,
            state_size=0 if memory is None else memory.values.shape[1],
        )

    def sample(self) -> Rollout:
        """Have a block played and return it; the next call overwrites it."""
        if self._learner is None:
            raise RuntimeError("attach an algorithm before sampling")
        policy = self._learner.policy
        order = Order(_apart(policy.get_state()), [m.get_state() for m in self._moments])
        played = self._crew.play(order)
        normalizer = policy.normalizer
        learned = [*self._moments, *([] if normalizer is None else [normalizer.moments])]
        for moments, sums in zip(learned, zip(*(p.sums for p in played), strict=True), strict=True):
            CommonMoments(moments).take(np.stack(sums))
        for number, part in enumerate(played):
            self._block.put(part.rows, number * self._share)
        self._block.metrics = self._told(played)
        return self._block

    def get_state(self) -> dict[str, Any]:
        """Return what is known of rewards and episodes, and what the actors' environments have learned."""
        return {
            "moments": [moments.get_state() for moments in self._moments],
            "recent_episodes": self._episodes.get_state(),
            "crew": self._crew.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with new episodes, which the run has not begun with.

        Raises:
            ValueError: it is of another environment.
        """
        self._crew.set_state(state["crew"])
        for moments, known in zip(self._moments, state["moments"], strict=True):
            moments.set_state(known)
        self._episodes.set_state(state["recent_episodes"])

    def close(self) -> None:
        """End the actors, and let go of the cluster."""
        self._crew.close()

    def _told(self, played: list[Played]) -> dict[str, float]:
        """Return what there is to tell of a block: of what actors tell, the mean over those who know it."""
        told = self._episodes.tell([episode for part in played for episode in part.finished])
        for name in dict.fromkeys(name for part in played for name in part.metrics):
            known = [part.metrics[name] for part in played if name in part.metrics]
            told[name] = float(np.mean(known))
        return {**told, "actors_replaced": float(self._crew.num_replaced)}


def _apart(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy's state as tensors that any machine can read."""
    weights = {
        name: weight.detach().cpu() if isinstance(weight, torch.Tensor) else weight
        for name, weight in state["network"].items()
    }
    return {**state, "network": weights}
