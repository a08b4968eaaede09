"""Fitted Q evaluation, where what a policy is worth is known."""

import copy

import numpy as np
import pytest
import torch

from poke.algorithms.offline.iql import IQL
from poke.algorithms.values.fitted import ValueEvaluator
from poke.data.files.steps import Trajectories
from poke.data.transitions import RecordedTransitions

from ...contracts.parts import network_maker, policy_maker

LENGTH, GAMMA = 4, 0.9


def corridor(num_episodes=200):
    """Four steps to the right and out: each of which is rewarded with 1 for action 1 and costs 1 for action 0."""
    rng = np.random.default_rng(0)
    count = num_episodes * LENGTH
    timestep = np.tile(np.arange(LENGTH), num_episodes)
    action = rng.integers(2, size=count)
    return Trajectories(
        observation=np.eye(LENGTH, dtype=np.float32)[timestep],
        action=action,
        action_mask=None,
        reward=(2 * action - 1).astype(np.float32),
        terminated=timestep == LENGTH - 1,
        truncated=np.zeros(count, bool),
        episode=np.repeat(np.arange(num_episodes), LENGTH),
        player=np.zeros(count, np.int8),
        timestep=timestep.astype(np.int32),
        outcome=np.zeros(count, np.int8),
        metadata={
            "observation": {"dtype": "float32", "shape": [LENGTH]},
            "action": {"kind": "discrete", "num_actions": 2},
        },
    )


def made(updates=1500, expectile=0.9):
    torch.manual_seed(0)
    source = RecordedTransitions(corridor(), batch_size=64, val_fraction=0.2, gamma=GAMMA, seed=1)
    network, device = network_maker(source), torch.device("cpu")
    values = {"lr": 1e-3, "policy_lr": 1e-3, "gamma": GAMMA, "temperature": 3.0}
    algorithm = IQL(policy_maker(source)(), network, device, expectile=expectile, **values)
    source.attach(algorithm)
    evaluator = ValueEvaluator(
        algorithm,
        source,
        network,
        device,
        gamma=GAMMA,
        fitted_updates=updates,
        fitted_lr=1e-2,
        fitted_batch_size=128,
        batch_size=50,
        seed=3,
    )
    return source, algorithm, evaluator


@pytest.mark.parametrize("good", [True, False])
def test_a_policy_is_worth_what_it_earns(good):
    _, algorithm, evaluator = made()
    head = [m for m in algorithm.policy.network.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():  # it always does the same
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 1.0] if good else [1.0, 0.0]))
    worth = sum(GAMMA**k for k in range(LENGTH)) * (1 if good else -1)
    found = evaluator.evaluate(algorithm)
    assert found["fitted_value"] == pytest.approx(worth, abs=0.15)


def test_learning_shows_in_what_is_told_without_playing():
    source, algorithm, evaluator = made()
    before = evaluator.evaluate(algorithm)
    for _ in range(1500):
        algorithm.update(source.sample())
    after = evaluator.evaluate(algorithm)
    assert after["td_error"] < before["td_error"] / 2
    assert after["fitted_value"] == pytest.approx(sum(GAMMA**k for k in range(LENGTH)), abs=0.2)
    # Half of what was done was the worse of two actions, which are 2 apart.
    assert after["q_gap"] == pytest.approx(1.0, abs=0.25)


def test_an_evaluation_repeats_itself_and_moves_nothing():
    source, algorithm, evaluator = made(updates=20)
    algorithm.update(source.sample())
    state = copy.deepcopy((algorithm.get_state(), source.get_state()))
    drawn = torch.get_rng_state()
    first = evaluator.evaluate(algorithm)
    assert evaluator.evaluate(algorithm) == first
    assert torch.equal(torch.get_rng_state(), drawn)
    now = algorithm.get_state(), source.get_state()
    assert str(now) == str(state)
    assert set(first) >= {"loss", "accuracy", "td_error", "q_gap", "fitted_value"}


def test_without_updates_nothing_is_fitted():
    _, algorithm, evaluator = made(updates=0)
    assert "fitted_value" not in evaluator.evaluate(algorithm)
