"""What every algorithm, source and evaluator promises, whichever it is."""

import copy
import random

import numpy as np
import pytest
import torch

from poke.protocols import Algorithm, Evaluator, NonFiniteError, Source

from .parts import CASES, assert_equal, through_a_file


@pytest.fixture(params=CASES)
def make(request):
    return CASES[request.param]


def train(source, algorithm, num_updates):
    return [dict(algorithm.update(source.sample())) for _ in range(num_updates)]


def test_they_are_what_the_protocols_say(make):
    source, algorithm, evaluator = make()
    assert isinstance(source, Source)
    assert isinstance(algorithm, Algorithm)
    assert isinstance(evaluator, Evaluator)


def test_a_restored_pair_goes_on_to_the_same_numbers(make, tmp_path):
    source, algorithm, _ = make()
    train(source, algorithm, 3)
    state = through_a_file(
        {"source": source.get_state(), "algorithm": algorithm.get_state()}, tmp_path / "state.pt"
    )
    expected = train(source, algorithm, 4)

    other_source, other, _ = make()
    train(other_source, other, 1)
    other_source.set_state(state["source"])
    other.set_state(state["algorithm"])
    assert_equal(train(other_source, other, 4), expected)
    assert_equal(other.get_state(), algorithm.get_state())
    assert_equal(other_source.get_state(), source.get_state())


def test_every_update_moves_the_clock_and_the_weights(make):
    source, algorithm, _ = make()
    before = copy.deepcopy(algorithm.get_weights())
    batch = source.sample()
    assert batch.num_steps >= 1
    assert batch.num_samples >= 1
    metrics = algorithm.update(batch)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    after = algorithm.get_weights()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_weights_taken_over_make_the_same_choices(make):
    source, algorithm, _ = make()
    train(source, algorithm, 2)
    _, other, _ = make()
    other.set_weights(algorithm.get_weights())
    observation = torch.as_tensor(source.sample().observation).flatten(0, -2)[:8]
    choices = [a.act(observation, action_mask=None, explore=False) for a in (algorithm, other)]
    assert torch.equal(*choices)


def test_what_is_not_finite_never_reaches_the_weights(make):
    source, algorithm, _ = make()
    train(source, algorithm, 2)
    before = copy.deepcopy(algorithm.get_state())
    batch = source.sample()
    network = algorithm.network
    spoiled = next(iter(network.parameters()))
    kept = spoiled.detach().clone()
    with torch.no_grad():
        spoiled.fill_(float("nan"))
    with pytest.raises(NonFiniteError):
        algorithm.update(batch)
    with torch.no_grad():
        assert torch.isnan(spoiled).all()
        spoiled.copy_(kept)
    assert_equal(algorithm.get_state()["network"], before["network"])
    assert_equal(algorithm.get_state()["optimizer"], before["optimizer"])


def test_an_evaluation_repeats_itself_and_disturbs_nothing(make):
    source, algorithm, evaluator = make()
    train(source, algorithm, 2)
    before = copy.deepcopy((source.get_state(), algorithm.get_state(), evaluator.get_state()))
    randomness = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = evaluator.evaluate(algorithm)
    assert evaluator.metric_names == tuple(first)
    assert first == evaluator.evaluate(algorithm)
    assert all(np.isfinite(value) for value in first.values())
    assert_equal((source.get_state(), algorithm.get_state(), evaluator.get_state()), before)
    assert torch.equal(torch.get_rng_state(), randomness[0])
    assert np.random.get_state()[1].tolist() == randomness[1]
    assert random.getstate() == randomness[2]
