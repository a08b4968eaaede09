"""TD3, TD3+BC and ReBRAC beside their equations, written slowly."""

import copy

import numpy as np
import pytest
import torch

from poke.algorithms.off_policy.td3 import TD3

from ..offline.parts import experience, makers, transitions

VALUES = {"lr": 1e-2, "policy_lr": 1e-2, "gamma": 0.9, "policy_every": 1}
KINDS = {
    "td3": {},
    "td3bc": {"bc_weight": 0.4, "normalize_q": True},
    "rebrac": {"bc_weight": 0.1, "next_bc_weight": 0.2},
}


def td3(**values):
    made = makers("continuous", bounds="squash")
    return TD3(made.make_policy, made.make_network, made.device, seed=1, **{**VALUES, **values})


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_the_equations(kind):
    values = KINDS[kind]
    algorithm = td3(**values)
    part = transitions("continuous")
    algorithm.update(experience(part))
    slow = copy.deepcopy(algorithm)
    told = algorithm.update(experience(part))
    draws = torch.Generator()
    draws.set_state(slow._noise.get_state())
    noise = (0.2 * torch.randn(len(part), 2, generator=draws)).clamp(-0.5, 0.5)
    critic_loss = policy_loss = 0.0
    sizes = []
    with torch.no_grad():
        for i in range(len(part)):
            seen, after = part.observation[i : i + 1], part.next_observation[i : i + 1]
            target = float(part.reward[i, 0])
            if not part.terminated[i]:
                action = (slow._target_policy.network(after)[0].tanh() + noise[i]).clamp(-1, 1)
                judged = slow._target.network.of_encoded(after, action).flatten().min().item()
                if part.next_chosen[i]:
                    distance = (action - part.next_action[i].tanh()).square().mean().item()
                    judged -= values.get("next_bc_weight", 0) * distance
                target += 0.9 * judged
            for said in slow._critics.of(seen, part.action[i : i + 1]).flatten().tolist():
                critic_loss += (said - target) ** 2 / 2
            action = slow.policy.network(seen)[0].tanh()
            sizes.append(slow._critics.of_encoded(seen, action)[0].item())
            distance = (action - part.action[i].tanh()).square().mean().item()
            policy_loss += values.get("bc_weight", 0) * distance
    scale = np.abs(sizes).mean() if values.get("normalize_q") else 1.0
    policy_loss -= sum(sizes) / scale
    assert float(told["critic_loss"]) == pytest.approx(critic_loss / len(part), rel=1e-4)
    assert float(told["policy_loss"]) == pytest.approx(policy_loss / len(part), rel=1e-4, abs=1e-5)


def test_the_policy_and_the_copies_move_every_so_many_steps():
    algorithm, part = td3(policy_every=3), transitions("continuous")

    def weights():
        networks = (
            algorithm.policy.network,
            algorithm._target.network,
            algorithm._target_policy.network,
        )
        return [[p.detach().clone() for p in network.parameters()] for network in networks]

    for step in range(1, 7):
        before = weights()
        told = algorithm.update(experience(part))
        for old, new in zip(before, weights(), strict=True):
            moved = any(not torch.equal(a, b) for a, b in zip(old, new, strict=True))
            assert moved == (step % 3 == 0)
        assert ("policy_loss" in told) == (step % 3 == 0)


def test_what_is_tried_is_near_what_the_policy_does_and_within_bounds():
    algorithm = td3(exploration_noise=0.1)
    observation = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    tried = algorithm.explore(observation, None)
    assert np.isfinite(tried).all()
    done = np.tanh(algorithm.policy.infer(observation)[0])
    np.testing.assert_allclose((np.tanh(tried) - done).std(), 0.1, rtol=0.1)
    wild = td3(exploration_noise=50.0).explore(observation, None)
    assert (np.abs(np.tanh(wild)) <= 1).all()
    assert np.isfinite(wild).all()


def test_the_policy_stays_near_what_was_recorded():
    part = transitions("continuous")
    distances = []
    for weight in (0.0, 20.0):
        algorithm = td3(bc_weight=weight, policy_lr=3e-3)
        for _ in range(150):
            algorithm.update(experience(part))
        done = np.tanh(algorithm.policy.infer(part.observation.numpy())[0])
        distances.append(float(np.square(done - np.tanh(part.action.numpy())).mean()))
    assert distances[1] < distances[0] / 2


def test_what_it_cannot_judge_is_refused():
    made = makers("discrete")
    with pytest.raises(ValueError, match="algo=td3 does not know actions of several choices"):
        TD3(made.make_policy, made.make_network, made.device, **VALUES)


def test_the_copy_of_the_policy_begins_as_the_policy_whatever_weights_that_was_given():
    algorithm = td3(policy_every=100)
    state = algorithm.policy.get_state()
    given = {name: torch.randn_like(weight) for name, weight in state["network"].items()}
    algorithm.policy.set_state({**state, "network": given})
    algorithm.update(experience(transitions("continuous")))
    copied = dict(algorithm._target_policy.network.named_parameters())
    for name, weight in algorithm.policy.network.named_parameters():
        assert torch.equal(copied[name], weight)


def test_smoothed_actions_of_the_target_stay_within_bounds():
    algorithm, part = td3(target_noise=5.0, target_noise_clip=5.0), transitions("continuous")
    seen = []
    judge = algorithm._target.network.of_encoded
    algorithm._target.network.of_encoded = lambda o, action: seen.append(action) or judge(o, action)
    algorithm.update(experience(part))
    (action,) = seen
    assert action.abs().max() == 1  # some were beyond
