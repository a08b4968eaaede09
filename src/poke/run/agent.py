"""The parts a config names, instantiated and wired: what learns, and where its experience comes from."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from hydra.utils import get_object, instantiate
from torch import nn

from poke.config.knobs import ConfigError
from poke.config.own import dataclass_arguments
from poke.distributed.ranks import ALONE, Ranks
from poke.envs.showdown.layout import outdated
from poke.networks.actor_critic import ActorCritic
from poke.networks.computing import compute
from poke.networks.fitting import check as check_fit
from poke.networks.sharding import shard, whole
from poke.policies.building import HEADS, describe, heads_of, offers
from poke.policies.loading import load
from poke.policies.policy import Policy
from poke.protocols import GIVEN, OF_GROUP, OF_THE_RUN, SourceDefaults, missing
from poke.run.device import be_deterministic, device_of, limit_threads
from poke.spaces import ActionSpace, ObservationNormalizer, ObservationSpace
from poke.training.checkpointing.shards import Shards
from poke.training.rng import seed_everything

# Keys whose values are handed over as they stand: they name what the object itself makes.
AS_THEY_STAND = {"env": ("wrappers",)}


class Agent:
    """An algorithm, and where its experience comes from.

    Args:
        config: the resolved config.
        ranks: the processes that learn together, each of which builds the same.
        local_rank: this one's number on its machine, which decides its device.
    """

    def __init__(
        self, config: Mapping[str, Any], ranks: Ranks = ALONE, *, local_rank: int = 0
    ) -> None:
        self.config = config
        self.ranks = ranks
        limit_threads(config["torch_threads"])
        seed_everything(config["seed"])
        be_deterministic(bool(config["trainer"].get("deterministic")))
        self.device = device_of(config["device"], local_rank if ranks.size > 1 else None)
        self.seed = config["seed"]
        self._templates: dict[str, ActorCritic] = {}  # that copies of policies begin as
        self.environment = None
        gamma = config["algo"].get("gamma")
        if config.get("env") and self._needs_environment():
            self.environment = self._build("env", gamma=gamma)
        self.source = self._build("data", gamma=gamma)
        try:
            self._check_spaces()
            self.algorithm = self._build("algo")
            if hasattr(self.source, "attach"):
                self.source.attach(self.algorithm)
        except BaseException:
            self.close_parts()
            raise
        if ranks.rank:
            # The same weights to begin with, but dropout of one's own.
            seed_everything(
                int(np.random.SeedSequence([self.seed, ranks.rank]).generate_state(1)[0])
            )

    def _needs_environment(self) -> bool:
        """Whether this process plays in one, or evaluates."""
        return self.ranks.rank == 0 or _takes(self.config["data"], "environment")

    def close_parts(self) -> None:
        """Let go of what holds processes or files; nothing is written."""
        if hasattr(self.source, "close"):
            self.source.close()

    def _check_spaces(self) -> None:
        """Refuse recorded data of another game than the one the policy is to be evaluated in, or in an older layout."""
        if older := outdated(self.observation_space.layout):
            raise ConfigError(
                f"the data's battles are in {older}: record them anew with poke.record"
            )
        environment = self.environment
        if environment is None:
            return
        pairs = {
            "observations": (self.observation_space, environment.observation_space),
            "actions": (self.action_space, environment.action_space),
        }
        for what, (recorded, played) in pairs.items():
            if _kind(recorded) != _kind(played):
                env = self.config["env"]
                name = "format" if "format" in env else "id"
                raise ConfigError(
                    f"data has {what} of {recorded}, but in env.{name}={env.get(name)} they are {played}"
                )
        ours, theirs = self.action_space.bounds, environment.action_space.bounds
        if self.action_space.continuous and ours != theirs:
            raise ConfigError(
                f"data.action_bounds={ours} needs env.action_bounds={ours}, and that is {theirs}"
            )

    @property
    def observation_space(self) -> ObservationSpace:
        """What the policy sees."""
        return self.source.observation_space

    @property
    def action_space(self) -> ActionSpace:
        """What the policy chooses among."""
        return self.source.action_space

    def load_policy(self, place: str, *, trust: Sequence[str] = ()) -> Policy:
        """Return a trained policy of another run, as `poke.load` does."""
        return load(place, trust=trust)

    def copy_policy(self, state: Mapping[str, Any]) -> Policy:
        """Return a policy of its own of a state of this run's; no random state of training moves."""
        heads = heads_of(state["description"])
        key = repr(sorted(heads.items()))
        if key not in self._templates:
            # Initial weights are drawn, and then overwritten.
            with torch.random.fork_rng(devices=[]):
                self._templates[key] = self._make_actor_critic(heads)
        # Copied, not built: a thread that plays asks for one, and torch's generator is of the whole process.
        policy = self._policy_of(copy.deepcopy(self._templates[key]), heads)
        policy.set_state(state)
        return policy

    @property
    def make_player(self) -> Callable[..., Agent]:
        """What makes an agent that plays for this one, see `player`, wherever it is called."""
        return partial(player, self.config)

    @property
    def network(self) -> torch.nn.Module:
        """A network of the configured kind with as many outputs as actions ask for."""
        return self.make_network(self.action_space.num_outputs)

    @property
    def policy(self) -> Policy:
        """A policy of the configured network, without a critic."""
        return self.make_policy()

    def make_policy(self, *, critic: str = "none", **weights: Any) -> Policy:
        """Make a policy of the configured kind of network for the source's observations and actions.

        Args:
            critic: as of `ActorCritic`.
            weights: how they begin, and what else the network puts out, likewise.
        """
        heads = {"critic": critic, **weights}
        return self._policy_of(self._make_actor_critic(heads), heads)

    def _make_actor_critic(self, heads: Mapping[str, Any]) -> ActorCritic:
        return ActorCritic(self.make_network, self.action_space, **heads).to(self.device)

    def _policy_of(self, network: ActorCritic, heads: Mapping[str, Any]) -> Policy:
        space, source = self.observation_space, self.source
        masked = getattr(source, "masked", SourceDefaults.masked)
        clip = getattr(source, "observation_clip", SourceDefaults.observation_clip)
        return Policy(
            network,
            space,
            self.action_space,
            masked=masked,
            normalizer=None if clip is None else ObservationNormalizer(space, clip),
            description=describe(
                self.config["network"],
                space,
                self.action_space,
                critic=heads.get("critic", "none"),
                masked=masked,
                observation_clip=clip,
                **{name: heads[name] for name in HEADS if name in heads},
            ),
            seed=self.seed,
        )

    def make_network(
        self, num_outputs: int, *, observation_space: ObservationSpace | None = None
    ) -> torch.nn.Module:
        """Make a network of the configured kind.

        Args:
            num_outputs: size of its last layer.
            observation_space: what it is to see; the source's observations by default.
        """
        space = observation_space or self.observation_space
        network = self._build("network", **offers(space, num_outputs))
        check_fit(network, space, num_outputs)
        trainer = self.config["trainer"]
        compute(
            network,
            precision=trainer.get("precision", 32),
            compiled=bool(trainer.get("compile")),
        )
        return network

    def _build(self, group: str, **given: Any) -> Any:
        """Instantiate a group's object, giving it what its constructor names of `poke.protocols.GIVEN`.

        Raises:
            ConfigError: it is no such part.
        """
        node = dict(self.config[group])
        constructor = get_object(node["_target_"])
        parameters = inspect.signature(constructor).parameters
        if self.ranks.size > 1 and "ranks" not in parameters and self._is_shared(group):
            # Each rank would do by itself what is to be done once.
            raise ConfigError(f"{node['_target_']} is for one process: it names no `ranks`")
        if group == "algo" and self.accumulate > 1 and "accumulate" not in parameters:
            raise ConfigError(
                f"{node['_target_']} computes a minibatch's gradient at once: trainer.accumulate=1"
            )
        if group == "algo" and self.shard is not None and "shard" not in parameters:
            raise ConfigError(
                f"{node['_target_']} cannot share weights out: trainer.strategy=ddp, or algo=bc"
            )
        for name in OF_THE_RUN.get(group, ()):
            if name not in parameters:
                node.pop(name, None)
        given = {k: v for k, v in given.items() if k in parameters and k not in node}
        for name in AS_THEY_STAND.get(group, ()):
            if name in parameters and name in node:
                given[name] = node.pop(name)
        for name in GIVEN[group].keys() - given.keys():
            if name in parameters and name not in node:
                given[name] = getattr(self, name)
        given |= dataclass_arguments(constructor, node)
        # Given to Hydra, the parts would be copied into a config.
        part = instantiate(node, _convert_="all", _partial_=True)(**given)
        return complete(part, group, node["_target_"])

    @property
    def shard(self) -> Callable[[nn.Module], None] | None:
        """Shares a network's weights out among the ranks; None where each has all of them."""
        if self.config["trainer"].get("strategy") != "fsdp" or self.ranks.size == 1:
            return None
        group: Any = self.ranks
        return partial(shard, mesh=group.mesh)

    @property
    def whole(self) -> Callable[[], AbstractContextManager[None]] | None:
        """Returns a context in which the policy's weights are whole on every rank; None where they always are."""
        return None if self.shard is None else partial(whole, self.algorithm.policy.network)

    def make_shards(self) -> Shards | None:
        """Make what saves this rank's part of checkpoints, together with the others; None where rank 0 has all."""
        if self.shard is None:
            return None
        group: Any = self.ranks
        return Shards(group.rank, *group.channels())

    @property
    def accumulate(self) -> int:
        """In how many parts gradients of a minibatch are computed."""
        return int(self.config["trainer"].get("accumulate", 1))

    def _is_shared(self, group: str) -> bool:
        if group == "env":
            return _takes(self.config["data"], "environment")
        return group in ("algo", "data")


def player(
    config: Mapping[str, Any], *, data: Mapping[str, Any], num_envs: int, seed: int
) -> Agent:
    """Return an agent that plays in some of a run's environments, and leaves the learning to another.

    Args:
        config: the run's.
        data: node of the source that plays.
        num_envs: how many environments; of their workers it has its share, but one at least.
        seed: of all that is drawn.
    """
    env = {**config["env"], "num_envs": num_envs}
    if "num_workers" in env:
        env["num_workers"] = max(1, env["num_workers"] * num_envs // config["env"]["num_envs"])
    if "probe_exact" in env:
        env["probe_exact"] = False  # its environments are not saved
    own = {"env": env, "data": data, "seed": seed, "device": "cpu", "torch_threads": 1}
    return Agent({**config, **own})


def _takes(node: Mapping[str, Any], name: str) -> bool:
    """Whether a part's constructor has a parameter of that name."""
    return name in inspect.signature(get_object(node["_target_"])).parameters


def _kind(space: Any) -> tuple[Any, ...]:
    """What two spaces must have in common for one policy to serve both."""
    if isinstance(space, ObservationSpace):
        return space.shape, space.dtype
    return space.kind, space.num_outputs, space.action_shape


def complete(part: Any, group: str, target: str) -> Any:
    """Return a part that has all that its group's protocol asks for."""
    if lacking := missing(part, OF_GROUP[group]):
        raise ConfigError(
            f"{target} has no {', '.join(lacking)}: see {OF_GROUP[group].__name__} in poke.protocols"
        )
    return part
