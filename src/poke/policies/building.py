"""Policies from descriptions: plain values that say which network, of which spaces, with which critic.

A description travels with the weights, so that a policy is built without the config, the data and the environment
it was trained with. It may come from a stranger: only classes of `poke.policies.trust` are called.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from poke.networks.actor_critic import ActorCritic
from poke.policies.policy import Policy, PolicyError
from poke.policies.trust import refuse_untrusted, resolve
from poke.spaces import ActionSpace, ObservationNormalizer, ObservationSpace

# What older descriptions lack.
HEADS = ("std", "atoms", "noisy")


def describe(
    network: Mapping[str, Any],
    observation_space: ObservationSpace,
    action_space: ActionSpace,
    *,
    critic: str,
    masked: bool,
    observation_clip: float | None,
    std: str = "parameter",
    atoms: Mapping[str, Any] | None = None,
    noisy: bool = False,
) -> dict[str, Any]:
    """Return the description of a policy.

    Args:
        network: `_target_` and arguments, plain values.
        observation_space: what observations are made of.
        action_space: what is chosen among.
        critic: as of `ActorCritic`.
        masked: whether there are action masks.
        observation_clip: limit of normalised observations; None where they are left.
        std: as of `ActorCritic`.
        atoms: likewise, plain values.
        noisy: likewise.
    """
    return {
        "network": dict(network),
        "observation_space": observation_space.to_dict(),
        "action_space": action_space.to_dict(),
        "critic": critic,
        "masked": masked,
        "observation_clip": observation_clip,
        # Left out where it is as it always was, so that descriptions of older policies are what they were.
        **({"std": std} if std != "parameter" and action_space.continuous else {}),
        **({} if atoms is None else {"atoms": dict(atoms)}),
        **({"noisy": True} if noisy else {}),
    }


def heads_of(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments of `ActorCritic` that say what a description's network puts out, as it was described."""
    return {
        "critic": description["critic"],
        **{name: description[name] for name in HEADS if name in description},
    }


def build(
    description: Mapping[str, Any], *, trust: Sequence[str] = (), seed: int | None = None
) -> Policy:
    """Return a policy with weights of no meaning yet.

    Args:
        description: as `describe` makes it.
        trust: packages whose classes may be built besides poke's own networks and torch's.
        seed: of exploration.

    Raises:
        PolicyError: it names a class that is not trusted, or cannot be built.
    """
    refuse_untrusted(description["network"], trust)
    observation_space = ObservationSpace.from_dict(description["observation_space"])
    action_space = ActionSpace.from_dict(description["action_space"])

    def make(num_outputs: int) -> nn.Module:
        return construct(
            description["network"], offers(observation_space, num_outputs), trust=trust
        )

    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and then overwritten
        network = ActorCritic(make, action_space, **heads_of(description))
    clip = description["observation_clip"]
    return Policy(
        network.eval(),
        observation_space,
        action_space,
        masked=description["masked"],
        normalizer=None if clip is None else ObservationNormalizer(observation_space, clip),
        description=description,
        seed=seed,
    )


def offers(space: ObservationSpace, num_outputs: int) -> dict[str, Any]:
    """Return what a network's constructor is given if it has a parameter of that name."""
    return {
        "observation_space": space,
        "observation_shape": space.shape,
        "num_outputs": num_outputs,
        "layout": space.layout,
    }


def takes(constructor: Callable[..., Any], name: str) -> bool:
    """Whether a constructor has a parameter of that name."""
    return name in inspect.signature(constructor).parameters


def construct(
    node: Mapping[str, Any], given: Mapping[str, Any] | None = None, *, trust: Sequence[str] = ()
) -> Any:
    """Call what a node's `_target_` names, nodes within it first.

    Args:
        node: `_target_`, arguments, and perhaps `_args_`, `_partial_` and `_recursive_` as Hydra has them.
        given: more arguments, for those of these names that the outermost has.
        trust: as of `build`.

    Raises:
        PolicyError: as of `build`.
    """
    target, positional, arguments = _call_of(node, trust)
    more = {name: part for name, part in (given or {}).items() if takes(target, name)}
    try:
        return target(*positional, **{**more, **arguments})
    except PolicyError:
        raise
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise PolicyError(f"{node['_target_']} cannot be built: {line}") from error


_OF_HYDRA = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")


def _call_of(
    node: Mapping[str, Any], trust: Sequence[str]
) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
    """Return what a node calls and with which arguments."""
    target = resolve(node["_target_"], trust)
    positional = list(node.get("_args_", ()))
    arguments = {key: value for key, value in node.items() if key not in _OF_HYDRA}
    if node.get("_recursive_", True):
        positional, arguments = _constructed(positional, trust), _constructed(arguments, trust)
    return target, positional, arguments


def _constructed(value: Any, trust: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        if "_target_" not in value:
            return {key: _constructed(item, trust) for key, item in value.items()}
        if value.get("_partial_"):
            target, positional, arguments = _call_of(value, trust)
            return functools.partial(target, *positional, **arguments)
        return construct(value, trust=trust)
    if isinstance(value, list | tuple):
        return [_constructed(item, trust) for item in value]
    return value
