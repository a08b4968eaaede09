"""Battles as environments: what a step is, what is worth what, and that a state is the whole state."""

import os
import signal

import numpy as np
import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.battles import BattleEnvironment
from poke.envs.showdown.battles.opponents import Opponents
from poke.envs.showdown.battles.rewards import Shaping
from poke.envs.showdown.battles.stepping import BattleEnvironments
from poke.envs.showdown.names import BattleError
from poke.spaces import ActionSpace, ObservationSpace

from ...selecting import few
from .simulated import ScriptedWorkers, Turn

FOUR = ActionSpace.discrete(4)
SEEN = ObservationSpace.box((layout.SIZE,), "int8", layout=layout.describe(1))


class Choice:
    def __init__(self, action):
        self.action = action


class Chance:
    """A policy that draws among what is legal."""

    observation_space, action_space = SEEN, FOUR

    def initial_state(self, batch_size):
        return None

    def choose(self, observation, *, action_mask, state, explore, generator):
        assert explore
        return Choice((action_mask * generator.random(action_mask.shape)).argmax(axis=1))


class ByTurn(Chance):
    """A policy whose action says what it saw: the turn, as long as that is legal."""

    def choose(self, observation, *, action_mask, state, explore, generator):
        wanted = observation[:, 0].astype(np.int64) % 4
        assert action_mask[np.arange(len(wanted)), wanted].all()
        return Choice(wanted)


class Counting(Chance):
    """A policy with a memory, of how often it has decided in the battle, which is its action."""

    def initial_state(self, batch_size):
        from poke.policies.policy import Memory

        return Memory(np.zeros((batch_size, 1), np.float32))

    def choose(self, observation, *, action_mask, state, explore, generator):
        action = state.values[:, 0].astype(np.int64) % 4
        state.values = state.values + 1
        return Choice(action)


def scripted(turns, num_envs=2, *, policy=None, opponent="self", shaping=None):
    """Environments over battles of a script, the learner's policy attached."""
    workers = ScriptedWorkers(turns, 2 * num_envs)
    opponents = Opponents(
        {opponent: 1.0},
        observation_space=SEEN,
        action_space=FOUR,
        load=lambda name: policy,
        league=None,
        num_tables=2 * num_envs,
        explore=True,
    )
    environments = BattleEnvironments(workers, FOUR, opponents, shaping or Shaping(0.0, 1.0))
    environments.attach(policy or ByTurn())
    environments.reset([0])
    return environments, workers


def seats(environments):
    """Which seat each learner has, as its observation says."""
    return environments.observation[:, 1].copy()


def test_the_opponent_acts_on_what_it_sees_also_after_the_learners_lone_decision():
    """As after a forced switch: what it had chosen for the turn before must not be taken for the next."""
    environments, workers = scripted([Turn(), Turn(asked=(0,)), Turn(), Turn(asked=(1,)), Turn()])
    for _ in range(30):
        environments.step(environments.observation[:, 0].astype(np.int64) % 4)
    assert {(turn, seat) for _, turn, seat, _ in workers.taken} == {
        *((0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 1), (4, 0), (4, 1)),
    }
    assert all(action == turn % 4 for _, turn, _, action in workers.taken)


def test_what_happens_while_a_learner_waits_belongs_to_its_last_decision():
    turns = [
        Turn(),
        Turn(asked=(1,), potential=0.25),
        Turn(asked=(1,), potential=0.5),
        Turn(potential=0.75),
        Turn(),
    ]
    environments, _ = scripted(turns, num_envs=1, shaping=Shaping(2.0, 0.9))
    assert seats(environments) == [0]
    rewards = []
    while not environments.terminated[0]:
        environments.step(environments.observation[:, 0].astype(np.int64) % 4)
        rewards.append(float(environments.reward[0]))
    phi = [0, 0.75, 0]  # at the first seat's decisions: two of the five turns are not its own
    expected = [2 * (0.9 * b - a) for a, b in zip(phi, [*phi[1:], 0], strict=True)]
    expected[-1] += 1  # and it won
    assert rewards == pytest.approx(expected)
    assert environments.finished == [(1.0, 3)]


def test_a_battle_is_worth_its_outcome_and_the_learner_sits_in_either_seat_in_turn():
    environments, _ = scripted([Turn(), Turn()], num_envs=2)
    seen = []
    for _ in range(3):
        seen.append(seats(environments).tolist())
        environments.step(np.zeros(2, np.int64))
        assert not environments.terminated.any()
        environments.step(np.ones(2, np.int64))
        assert environments.terminated.all()
        won = [1 if seat == 0 else -1 for seat in seen[-1]]  # the first seat wins
        assert environments.reward.tolist() == won
        assert environments.finished == [(float(reward), 2) for reward in won]
        assert environments.begun == environments.finished_envs == [0, 1]
    assert seen == [[0, 1], [1, 0], [0, 1]]


def test_a_refused_choice_is_no_step_and_the_same_decision_comes_again_without_it():
    refused = ((0, 0), (1, 0), (0, 2))
    shaping = Shaping(1.0, 0.5)
    environments, workers = scripted(
        [Turn(refused=refused, potential=0.5), Turn()],
        num_envs=2,
        opponent="random",
        shaping=shaping,
    )
    before = environments.observation.copy()
    environments.step(np.array([0, 1]))
    assert environments.void.tolist() == [True, False]
    assert environments.reward[0] == 0
    assert environments.action_mask[0].tolist() == [False, True, True, True]
    np.testing.assert_array_equal(environments.observation[0], before[0])
    environments.step(np.array([2, 1]))  # the second battle ends with that
    assert environments.void.tolist() == [True, False]
    assert environments.action_mask[0].tolist() == [False, True, False, True]
    environments.step(np.array([1, 1]))
    assert environments.void.tolist() == [False, False]
    assert environments.reward[0] == pytest.approx(0.5 * 0 - 0.5)
    environments.step(np.array([1, 1]))
    assert environments.finished[0] == (1.0, 2)
    assert (0, 0, 0, 1) in workers.taken


def test_a_battle_that_is_lost_is_cut_off_at_its_last_observation_and_the_next_begins():
    environments, workers = scripted(
        [Turn(potential=0.5), Turn(potential=0.25), Turn()], shaping=Shaping(1.0, 1.0)
    )
    environments.step(np.zeros(2, np.int64))
    last = environments.observation.copy()
    workers.lose_now = (0, 3)  # the first environment's, and the second one's next
    environments.step(np.ones(2, np.int64))
    assert environments.truncated.tolist() == [True, False]
    assert not environments.terminated.any()
    assert environments.reward[0] == 0
    np.testing.assert_array_equal(environments.final_observations[0], last[0])
    assert environments.finished == [(0.0, 2)]
    assert environments.observation[:, 0].tolist() == [0, 2]
    for _ in range(6):
        environments.step(environments.observation[:, 0].astype(np.int64) % 4)
    assert not environments.truncated.any()


def test_a_battle_that_is_lost_while_others_are_waited_for_is_cut_off_in_the_next_step():
    environments, workers = scripted([Turn(), Turn(asked=(1,)), Turn(), Turn()])
    workers.lose_now = (1,)  # at the first exchange the second seat, a learner, is asked already
    environments.step(np.zeros(2, np.int64))
    assert environments.truncated.tolist() == [False, True]
    assert environments.observation[:, 0].tolist() == [2, 0]


def test_a_trained_opponent_remembers_its_own_battle_and_no_other():
    turns = [Turn(), Turn(asked=(1,)), Turn(), Turn(asked=(0,)), Turn()]
    environments, workers = scripted(turns, num_envs=3, policy=Counting(), opponent="a run")
    for _ in range(25):
        seated = seats(environments)
        environments.step(np.full(3, 3))
        assert set(seated) <= {0, 1}
    taken = {(turn, seat, action) for _, turn, seat, action in workers.taken if action != 3}
    # Of the first seat turns 0, 2, 3 and 4 are its first to fourth decision, of the second 0, 1, 2 and 4.
    assert taken == {(0, 0, 0), (2, 0, 1), (3, 0, 2), (0, 1, 0), (1, 1, 1), (2, 1, 2)}


def test_an_opponent_of_another_game_is_refused():
    class Other(Chance):
        action_space = ActionSpace.discrete(26)

    with pytest.raises(BattleError, match=r"opponent a run sees int8 .* and chooses one of 26"):
        scripted([Turn()], policy=Other(), opponent="a run")


REAL = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]


def real(num_envs=3, num_workers=1, **changes):
    values = {
        "format": "gen1randombattle",
        "opponent": {"random": 1, "self": 1},
        "reward": "shaped",
        "load_policy": None,
        "copy_policy": None,
        **changes,
    }
    return BattleEnvironment(num_envs=num_envs, num_workers=num_workers, **values)


def begun(environment, entropy=(5, 0)):
    environments = environment.make()
    environments.attach(Chance())
    environments.reset(list(entropy))
    return environments


def story(environments, generator, num_steps):
    """Let chance play, and return all there was to see."""
    told = []
    for _ in range(num_steps):
        chance = generator.random(environments.action_mask.shape)
        environments.step((environments.action_mask * chance).argmax(axis=1))
        names = (
            "observation",
            "action_mask",
            "reward",
            "terminated",
            "truncated",
            "void",
            "opponent_action",
        )
        told.append([getattr(environments, name).copy() for name in names])
        told.append([np.array(environments.finished), np.array(environments.begun)])
    return told


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "format", few(["gen1randombattle", "gen9randombattle"], "gen1randombattle")
)
@pytest.mark.showdown
@pytest.mark.usefixtures("installed")
def test_battles_repeat_bit_for_bit_on_any_number_of_workers_and_go_on_from_their_state(format):
    stories = []
    for num_workers in (1, 3):
        environments = begun(real(num_workers=num_workers, format=format))
        generator = np.random.default_rng(0)
        stories.append(story(environments, generator, 40))
        state, drawn = environments.get_state(), generator.bit_generator.state
        stories[-1] += story(environments, generator, 40)
        environments.close()
    assert_same(*stories)

    resumed = begun(real(num_workers=2, format=format), entropy=(6, 0))
    resumed.set_state(state)
    generator.bit_generator.state = drawn
    after = story(resumed, generator, 40)
    resumed.close()
    assert_same(after, stories[0][80:])
    assert any(finished.size for finished, _ in stories[0][1::2])


@pytest.mark.showdown
@pytest.mark.usefixtures("installed")
def test_shaped_rewards_of_a_battle_add_up_to_its_outcome():
    environments = begun(real(num_envs=4, opponent="random", gamma=1.0))
    generator, sums, outcomes = np.random.default_rng(1), np.zeros(4), []
    while len(outcomes) < 8:
        story(environments, generator, 1)
        sums += environments.reward
        for i, (outcome, _) in zip(environments.finished_envs, environments.finished, strict=True):
            assert sums[i] == pytest.approx(outcome, abs=1e-5)
            sums[i] = 0
            outcomes.append(outcome)
    environments.close()
    assert set(outcomes) <= {-1.0, 0.0, 1.0}


@pytest.mark.showdown
@pytest.mark.usefixtures("installed")
def test_training_goes_on_when_a_worker_is_killed():
    environments = begun(real(num_envs=2, num_workers=2))
    generator = np.random.default_rng(0)
    story(environments, generator, 3)
    os.kill(environments._workers.pids[0], signal.SIGKILL)
    cut = 0
    for _ in range(5):
        story(environments, generator, 1)
        cut += int(environments.truncated.sum())
    environments.close()
    assert cut == 2  # the first worker played the first tables


@pytest.mark.showdown
@pytest.mark.usefixtures("installed")
def test_a_worker_that_dies_while_battles_are_played_again_costs_none_of_them():
    environments, resumed = begun(real(num_envs=2)), begun(real(num_envs=2, num_workers=2))
    generator = np.random.default_rng(0)
    story(environments, generator, 5)
    state, drawn = environments.get_state(), generator.bit_generator.state
    os.kill(resumed._workers.pids[0], signal.SIGKILL)
    resumed.set_state(state)
    assert resumed._workers.num_replaced == 1
    after = story(environments, generator, 5)
    generator.bit_generator.state = drawn
    assert_same(after, story(resumed, generator, 5))
    environments.close()
    resumed.close()


@pytest.mark.showdown
@pytest.mark.usefixtures("installed")
def test_a_state_of_other_battles_is_refused():
    environments = begun(real(num_envs=2))
    story(environments, np.random.default_rng(0), 5)
    state = environments.get_state()
    with pytest.raises(ValueError, match=r"the state is of 1 environments, and env\.num_envs is 2"):
        environments.set_state({**state, "lengths": [0]})
    # As if the simulator had become another one.
    plans = [[{**plan, "seed": plan["seed"][::-1]} for plan in row] for row in state["plans"]]
    with pytest.raises(ValueError, match="played again, come to something else"):
        environments.set_state({**state, "plans": plans, "choices": ["", ""]})
    environments.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "gen9doublesou"}, "gen9doublesou is not played"),
        ({"format": "gen7letsgorandombattle"}, "letsgo"),
        ({"format": "gen1randombatle"}, "did you mean gen1randombattle"),
        ({"format": "gen4ou"}, "needs a file of teams"),
    ],
)
@pytest.mark.showdown
@pytest.mark.usefixtures("installed")
def test_what_is_not_played_is_refused_by_name(changes, said):
    with pytest.raises(ValueError, match=said) as caught:
        real(**changes).make()
    assert "\n" not in str(caught.value)
