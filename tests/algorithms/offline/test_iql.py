"""Implicit Q-learning beside its equations, written slowly."""

import copy
import math

import pytest
import torch

from poke.algorithms.offline.iql import IQL

from .parts import apart, assert_moved_by, experience, makers, transitions

VALUES = {"lr": 1e-2, "policy_lr": 1e-3, "gamma": 0.9, "expectile": 0.8, "temperature": 2.0}


def iql(kind, masked=False, **values):
    made = makers(kind, masked)
    return IQL(made.make_policy(), made.make_network, made.device, **{**VALUES, **values})


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete", "multi_binary", "continuous"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_losses_are_those_of_the_equations(kind, weighted, n):
    algorithm = iql(kind, masked=kind == "discrete", reward_scale=0.5, max_weight=1.5)
    part = transitions(kind, n=n, masked=kind == "discrete", weighted=weighted)
    slow = apart(algorithm)
    worth, wrong = algorithm.judge(part)
    told = algorithm.update(experience(part))
    value_loss = critic_loss = policy_loss = 0.0
    for i in range(len(part)):
        seen, after = part.observation[i : i + 1], part.next_observation[i : i + 1]
        action = part.action[i : i + 1]
        q = slow._target.network.of(seen, action).min().item()
        v = slow._value(seen)
        u = q - v.item()
        weight = float(part.weight[i]) if weighted else 1.0
        value_loss += weight * abs(0.8 - (u < 0)) * (q - v).square().sum() / 2
        target = sum(0.9**k * 0.5 * float(r) for k, r in enumerate(part.reward[i]))
        if not part.terminated[i]:
            target += 0.9 ** int(part.length[i]) * slow._value(after).item()
        estimates = slow._critics.of(seen, action).flatten()
        for estimate in estimates:
            critic_loss += weight * (estimate - target) ** 2 / 2
        error = (estimates.detach() - target).abs().mean().item()
        assert wrong[i].item() == pytest.approx(error, abs=1e-5)
        if kind == "discrete":
            least = slow._critics(seen)[:, 0, :, 0].detach().min(dim=0).values
            torch.testing.assert_close(worth[i], least)
        outputs = slow.policy.network(seen)[0]
        mask = None if part.action_mask is None else part.action_mask[i : i + 1]
        log_prob = slow.policy.distribution.log_prob_and_entropy(outputs, action, mask)[0].sum()
        preferred = min(math.exp(2.0 * u), 1.5)
        policy_loss -= weight * preferred * log_prob
    wanted = {"value": value_loss, "critic": critic_loss, "policy": policy_loss}
    networks = {"value": slow._value, "critics": slow._critics, "policy": slow.policy.network}
    for (name, loss), (network, module) in zip(wanted.items(), networks.items(), strict=True):
        loss = loss / len(part)
        assert float(told[f"{name}_loss"]) == pytest.approx(loss.item(), rel=1e-4), name
        assert_moved_by(algorithm, network, loss, module)


def test_the_copy_follows_by_its_rate():
    algorithm = iql("discrete", critics={"target_rate": 0.25})
    before = copy.deepcopy(algorithm._target.network.state_dict())
    algorithm.update(experience(transitions("discrete")))
    now, online = algorithm._target.network.state_dict(), algorithm._critics.state_dict()
    for name, old in before.items():
        torch.testing.assert_close(now[name], old + 0.25 * (online[name] - old))


@pytest.mark.parametrize(
    "critics",
    [
        {"extra_gammas": [0.5, 0.99]},
        {"bins": 21, "low": -5, "high": 5},
        {"layer_norm": True},
    ],
)
def test_it_learns_what_a_state_is_worth(critics):
    """One state, two actions of which one is worth 1 and the other -1, and then the end."""
    algorithm = iql("discrete", critics={"target_rate": 0.1, **critics})
    part = transitions("discrete", count=64)
    part.action.remainder_(2)
    part.observation.zero_()
    part.terminated.fill_(True)
    part.reward[:, 0] = 2.0 * part.action - 1
    for _ in range(400):
        algorithm.update(experience(part))
    worth = algorithm._heads.read(algorithm._critics(part.observation[:1]))[0, 0, :2, 0]
    torch.testing.assert_close(worth, torch.tensor([-1.0, 1.0]), rtol=0.15, atol=0.15)
    assert algorithm.policy.act(part.observation.numpy())[0] == 1


def test_a_memory_is_refused():
    made = makers("discrete", network={"memory": "gru"})
    with pytest.raises(ValueError, match=r"algo=iql .* leave out network\.memory"):
        IQL(made.make_policy(), made.make_network, made.device, **VALUES)


def test_layers_of_critics_alone_are_normalised_where_that_is_asked_for():
    def normalised(module):
        return sum(isinstance(part, torch.nn.LayerNorm) for part in module.modules())

    for kind in ("discrete", "continuous"):
        algorithm = iql(kind, critics={"layer_norm": True, "num": 2})
        assert normalised(algorithm._critics) == normalised(algorithm._target.network) == 2
        assert normalised(algorithm.policy.network) == 0
        assert normalised(iql(kind)._critics) == 0
