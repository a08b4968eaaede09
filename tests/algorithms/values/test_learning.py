"""An update of several minibatches: means of what they tell, and all of them or none."""

import copy
from dataclasses import replace

import pytest
import torch

from poke.algorithms.off_policy.dqn import DQN
from poke.data.experience import Experience
from poke.protocols import NonFiniteError

from ...contracts.parts import assert_equal
from ..offline.parts import makers, transitions


def dqn():
    made = makers("discrete")
    return DQN(made.make_policy, made.device, lr=1e-2, gamma=0.9, target_rate=0.1, seed=1)


def batch(parts, **options):
    return Experience(iter(parts), len(parts), 32, **options)


def test_several_minibatches_are_so_many_updates():
    parts = [transitions("discrete", seed=seed) for seed in range(3)]
    together, apart = dqn(), dqn()
    told = together.update(batch(parts, num_steps=5, metrics={"episodes": 2.0}))
    each = [apart.update(batch([part])) for part in parts]
    assert_equal(together.policy.get_state(), apart.policy.get_state())
    assert float(told["loss"]) == pytest.approx(sum(float(t["loss"]) for t in each) / 3)
    assert told["episodes"] == 2
    assert together.num_steps == 5


def test_while_a_buffer_warms_up_nothing_moves_and_episodes_are_told():
    algorithm = dqn()
    before = copy.deepcopy(algorithm.policy.get_state()["network"])
    told = algorithm.update(batch([], num_steps=4, metrics={"episodes": 1.0}))
    assert told == {"episodes": 1.0, "epsilon": algorithm.epsilon}
    assert_equal(algorithm.policy.get_state()["network"], before)


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_if_one_is_not_finite_all_is_as_before(broken):
    parts = [transitions("discrete", seed=seed) for seed in range(3)]
    algorithm = dqn()
    algorithm.update(batch(parts))
    before = copy.deepcopy((algorithm.policy.get_state(), algorithm.get_state()))
    parts[broken] = replace(parts[broken], reward=torch.full((32, 1), float("nan")))
    with pytest.raises(NonFiniteError, match="loss"):
        algorithm.update(batch(parts))
    assert_equal((algorithm.policy.get_state(), algorithm.get_state()), before)
    assert not algorithm.policy.network.training
