"""The loss that predicts what opponents do."""

import copy

import numpy as np
import pytest
import torch

from poke.algorithms.ppo import PPO
from poke.data.block import Rollout
from poke.envs.showdown.layout import describe
from poke.networks.actor_critic import ActorCritic
from poke.networks.battle import BattleNetwork
from poke.networks.mlp import MLP
from poke.policies.policy import Policy
from poke.spaces import ActionSpace, ObservationSpace

from .test_ppo import VALUES

LAYOUT = describe(1)
BATTLES = ObservationSpace.box((LAYOUT["size"],), "int8", layout=LAYOUT)
ACTIONS = ActionSpace.discrete(10)
NUM_STEPS, NUM_ENVS = 16, 8
TURN = 0  # the byte that says what opponents do here


def block(seed=0, told=True):
    """Battles in which the opponent does by the turn what it does; a third of it is not known."""
    rng = np.random.default_rng(seed)
    rollout = Rollout(NUM_STEPS, NUM_ENVS, BATTLES, ACTIONS, masked=True)
    rollout.observation[...] = 0
    turn = rng.integers(0, 40, (NUM_STEPS, NUM_ENVS))
    rollout.observation[..., TURN] = turn
    rollout.action[...] = rng.integers(0, 10, turn.shape)
    rollout.log_prob[...] = -np.log(10)
    rollout.reward[...] = rng.normal(size=turn.shape)
    rollout.opponent_action[...] = 0
    if told:
        rollout.opponent_action[...] = np.where(turn < 10, 0, np.where(turn < 25, 1, 7))
    return rollout


def learner(coefficient, network=None, space=BATTLES):
    def make_policy(*, critic, **weights):
        def make(num_outputs):
            return BattleNetwork(
                num_outputs=num_outputs, layout=LAYOUT, entity_size=8, move_size=4, hidden_size=16
            )

        return Policy(
            ActorCritic(network or make, ACTIONS, critic=critic, **weights), space, ACTIONS
        )

    torch.manual_seed(0)
    return PPO(
        make_policy,
        shared_network=True,
        opponent_coefficient=coefficient,
        seed=0,
        **{**VALUES, "lr_schedule": "constant"},
    )


def test_it_learns_to_predict_what_the_opponent_does():
    algorithm = learner(1.0)
    first = algorithm.update(block())
    for seed in range(1, 12):
        last = algorithm.update(block(seed))
    assert first["opponent_loss"] > 2
    assert last["opponent_loss"] < 0.5
    assert last["opponent_accuracy"] > 0.9
    # Beside what is learned anyway, in proportion to its weight.
    rest = last["policy_loss"] + 0.5 * last["value_loss"] - 0.01 * last["entropy"]
    assert last["loss"] == pytest.approx(rest + last["opponent_loss"], abs=1e-4)


def test_a_block_in_which_a_minibatch_knows_nothing_is_learned_from():
    algorithm, batch = learner(1.0), block()
    batch.opponent_action[...] = 0
    batch.opponent_action[0, 0] = 3
    assert np.isfinite(algorithm.update(batch)["opponent_loss"])


def test_the_policy_is_as_without_it():
    """What predicts is no part of the policy, whose weights have the same names and whose beginning is the same."""
    with_, without = learner(0.5).policy.get_state(), learner(0.0).policy.get_state()
    assert with_["network"].keys() == without["network"].keys()
    for name, weight in with_["network"].items():
        assert torch.equal(weight, without["network"][name]), name


def test_it_goes_on_where_it_was():
    algorithm, other = learner(1.0), learner(1.0)
    algorithm.update(block())
    other.policy.set_state(copy.deepcopy(algorithm.policy.get_state()))
    other.set_state(copy.deepcopy(algorithm.get_state()))
    assert other.update(block(1)) == algorithm.update(block(1))


@pytest.mark.parametrize(("then", "now"), [(1.0, 0.0), (0.0, 1.0)])
def test_a_run_goes_on_as_it_began(then, now):
    with pytest.raises(ValueError, match=r"algo\.opponent_coefficient was .* and is "):
        learner(now).set_state(learner(then).get_state())


def test_what_cannot_be_predicted_is_refused():
    with pytest.raises(ValueError, match="tells of none"):
        learner(1.0).update(block(told=False))
    numbers = ObservationSpace.box((3,))
    mlp = lambda n: MLP(observation_shape=(3,), num_outputs=n, hidden_sizes=[4])  # noqa: E731
    with pytest.raises(ValueError, match="needs battles, and network=battle"):
        learner(1.0, network=mlp, space=numbers)
