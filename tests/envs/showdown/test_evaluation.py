"""Win rates: the same battles every time, counted as they end."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.envs.showdown import layout
from poke.envs.showdown.battles import BattleEvaluator, evaluation
from poke.envs.showdown.battles.evaluation import wilson
from poke.envs.showdown.names import BattleError
from poke.spaces import ActionSpace, ObservationSpace

from ...selecting import few
from .simulated import ScriptedWorkers, Turn

SEEN = ObservationSpace.box((layout.SIZE,), "int8", layout=layout.describe(1))
GEN1 = SimpleNamespace(
    observation_space=SEEN,
    action_space=ActionSpace.discrete(10),
    metadata={"format": "gen1randombattle"},
)


class First:
    """A policy that takes the first legal action, or when exploring any."""

    observation_space, action_space = SEEN, GEN1.action_space

    def initial_state(self, batch_size):
        return None

    def choose(self, observation, *, action_mask, state, explore, generator):
        drawn = generator.random(action_mask.shape) if explore else 1
        return SimpleNamespace(action=(action_mask * drawn).argmax(axis=1))


class BySight(First):
    """One that takes an action by what it sees, since by the first one battles can go in circles."""

    def choose(self, observation, *, action_mask, state, explore, generator):
        seen = np.abs(observation.astype(np.int64)).sum(axis=1, keepdims=True)
        drawn = generator.random(action_mask.shape) if explore else 1
        rank = (np.arange(action_mask.shape[1]) + seen) % action_mask.shape[1] + 1
        return SimpleNamespace(action=(action_mask * drawn * rank).argmax(axis=1))


PLAYING = SimpleNamespace(policy=First())


def evaluator(**changes):
    values = {
        "opponents": ["random"],
        "battles": 10,
        "seed": 3,
        "num_envs": 4,
        "num_workers": 1,
        "source": GEN1,
        "load_policy": lambda place, trust: First(),
        **changes,
    }
    return BattleEvaluator(**values)


@pytest.fixture
def on_script(monkeypatch):
    """Let battles follow a script; what was opened is kept."""
    opened = []

    def follow(*turns):
        def open_workers(format, num_battles, num_workers, **how):
            opened.append(ScriptedWorkers(turns, num_battles, num_actions=10))
            return opened[-1]

        monkeypatch.setattr(evaluation, "open_workers", open_workers)
        return opened

    return follow


@pytest.mark.parametrize(("battles", "num_envs"), [(1, 4), (4, 4), (7, 3), (20, 6)])
def test_every_battle_is_played_once_in_either_seat_in_turn(on_script, battles, num_envs):
    on_script(Turn(), Turn(asked=(0,)), Turn(refused=((0, 0),)))
    measured = evaluator(battles=battles, num_envs=num_envs).evaluate(PLAYING)
    first = (battles + 1) // 2  # the first seat wins, and has every second battle
    assert measured["random/win_rate"] == first / battles
    assert measured["random/refused"] == first / battles
    low, high = wilson(first, battles)
    assert (measured["random/win_rate_low"], measured["random/win_rate_high"]) == (low, high)


def test_a_battle_whose_worker_dies_is_played_again(on_script):
    opened = on_script(Turn(), Turn())
    one = evaluator(battles=4, opponents=["random", "some/run"])
    wait = evaluation.Tables.wait
    lost = iter([(0, 2), (1,), (1,)])

    def losing(tables, awaited):
        opened[-1].lose_now = next(lost, ())
        wait(tables, awaited)

    evaluation.Tables.wait = losing
    try:
        measured = one.evaluate(PLAYING)
    finally:
        evaluation.Tables.wait = wait
    assert measured["random/win_rate"] == measured["run/win_rate"] == 0.5
    assert tuple(measured) == one.metric_names


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"opponents": ["a/run", "b/run"]}, "measured under one name"),
        ({"source": SimpleNamespace(**{**vars(GEN1), "metadata": {}})}, "add eval.format=FORMAT"),
        ({"format": "gen9randombattle"}, "is of generation 1, these battles are of generation 9"),
        ({"format": "gen1"}, "gen1"),
    ],
)
def test_what_cannot_be_measured_is_said_before_training(on_script, changes, said):
    on_script(Turn())
    with pytest.raises(ValueError, match=said) as caught:
        evaluator(**changes)
    assert "\n" not in str(caught.value)


def test_data_of_another_layout_is_refused(on_script):
    on_script(Turn())
    older = {**SEEN.layout, "version": 1}
    seen = ObservationSpace.box((layout.SIZE,), "int8", layout=older)
    with pytest.raises(
        BattleError, match="reads battles in layout 1, and this poke shows them in layout 2"
    ):
        evaluator(source=SimpleNamespace(**{**vars(GEN1), "observation_space": seen}))


@pytest.mark.parametrize(
    ("won", "played", "low", "high"),
    [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (785, 1000, 0.7585, 0.8093), (1, 2, 0.0945, 0.9055)],
)
def test_the_interval_is_wilsons(won, played, low, high):
    assert wilson(won, played) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.showdown
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("explore", few([False, True], True))
def test_an_evaluation_depends_on_nothing_but_its_seed_and_leaves_training_alone(explore):
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    measured = [
        evaluator(
            num_workers=n,
            explore=explore,
            battles=4,
            opponents=["random", "some/run"],
            seed=seed,
            load_policy=lambda place, trust: BySight(),
        )
        for n, seed in ((1, 3), (2, 3), (1, 4))
    ]
    playing = SimpleNamespace(policy=BySight())
    first, second, other = (one.evaluate(playing) for one in measured)
    assert measured[0].evaluate(playing) == first == second != other
    assert first["random/turns"] > 1
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
