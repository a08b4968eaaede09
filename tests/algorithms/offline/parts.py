"""Transitions drawn at random, and small offline algorithms that learn from them."""

import copy
from types import SimpleNamespace

import torch

from poke.data.experience import Experience, Transitions
from poke.networks.auto import auto_network
from poke.spaces import ActionSpace, ObservationSpace

from ...contracts.parts import ACTIONS, NETWORK, policy_maker

SEEN = ObservationSpace.box((4,))


def makers(kind, masked=False, network=None, bounds="clip"):
    """What an algorithm is given, as a run gives it."""
    space = ACTIONS[kind] if isinstance(kind, str) else kind
    if bounds != "clip":
        space = ActionSpace.continuous_box((2,), -3, 3, bounds=bounds)
    source = SimpleNamespace(
        observation_space=SEEN, action_space=space, masked=masked, observation_clip=None
    )

    def make_network(num_outputs, *, observation_space=None):
        return auto_network(
            observation_space=observation_space or SEEN,
            num_outputs=num_outputs,
            **{**NETWORK, **(network or {})},
        )

    torch.manual_seed(0)
    return SimpleNamespace(
        make_policy=policy_maker(source, make_network),
        make_network=make_network,
        action_space=space,
        device=torch.device("cpu"),
    )


def actions(kind, count, generator):
    space = ACTIONS[kind]
    if space.continuous:
        return torch.randn(count, 2, generator=generator)
    parts = [torch.randint(n, (count,), generator=generator) for n in (space.sizes)]
    return parts[0] if kind == "discrete" else torch.stack(parts, dim=1)


def transitions(kind, *, seed=0, count=32, n=1, masked=False, weighted=False):
    generator = torch.Generator().manual_seed(seed)
    masks = [None, None]
    action = actions(kind, count, generator)
    if masked:
        masks = [torch.rand(count, 4, generator=generator) < 0.6 for _ in range(2)]
        masks[0][torch.arange(count), action] = True
        masks[1][:, 1] = True
    length = torch.randint(1, n + 1, (count,), generator=generator)
    reward = torch.randn(count, n, generator=generator) * (torch.arange(n) < length[:, None])
    return Transitions(
        observation=torch.randn(count, 4, generator=generator),
        action=action,
        action_mask=masks[0],
        reward=reward,
        length=length,
        terminated=torch.rand(count, generator=generator) < 0.2,
        next_observation=torch.randn(count, 4, generator=generator),
        next_action_mask=masks[1],
        return_=torch.randn(count, generator=generator),
        next_action=actions(kind, count, generator),
        next_chosen=torch.rand(count, generator=generator) < 0.8,
        weight=torch.rand(count, generator=generator) if weighted else None,
        rows=torch.arange(count),
    )


def experience(part):
    return Experience([part], 1, len(part))


def legal_actions(mask, i):
    return [a for a in range(4) if mask is None or mask[i, a]]


def assert_moved_by(algorithm, name, loss, module):
    """That the last update went down the gradient of a slow loss, and of nothing else.

    Args:
        algorithm: was updated.
        name: of the network in it that moved.
        loss: 0-dim.
        module: the same network as it was before the update.
    """
    parameters = list(module.parameters())
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    flat = [
        torch.zeros_like(p).flatten() if g is None else g.flatten()
        for p, g in zip(parameters, gradients, strict=True)
    ]
    torch.testing.assert_close(
        algorithm._descent.flat[name].grad, torch.cat(flat), rtol=1e-3, atol=1e-5
    )


def apart(algorithm):
    """The same algorithm as it is now, with a copy of its critics that is another network."""
    torch.manual_seed(1)
    follower = algorithm._target
    with torch.no_grad():
        follower._flat.add_(0.3 * torch.randn_like(follower._flat))
    return copy.deepcopy(algorithm)
