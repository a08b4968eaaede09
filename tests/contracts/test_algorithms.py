"""What every algorithm, source and evaluator promises, whichever it is."""

import copy
import random

import numpy as np
import pytest
import torch

from poke.data.experience import Experience
from poke.protocols import Algorithm, Evaluator, NonFiniteError, Source

from .parts import CASES, assert_equal, through_a_file


@pytest.fixture(params=CASES)
def make(request):
    return CASES[request.param]


def train(source, algorithm, num_updates):
    return [dict(algorithm.update(source.sample())) for _ in range(num_updates)]


def observed(batch):
    """The observations of a batch of any kind."""
    if isinstance(batch, Experience):
        batch = next(iter(batch.minibatches))
    return np.asarray(batch.observation)


def whole_state(source, algorithm):
    return {
        "policy": algorithm.policy.get_state(),
        "source": source.get_state(),
        "algorithm": algorithm.get_state(),
    }


def test_they_are_what_the_protocols_say(make):
    source, algorithm, evaluator = make()
    assert isinstance(source, Source)
    assert isinstance(algorithm, Algorithm)
    assert isinstance(evaluator, Evaluator)


def test_a_restored_pair_goes_on_to_the_same_numbers(make, tmp_path):
    source, algorithm, _ = make()
    train(source, algorithm, 3)
    state = through_a_file(whole_state(source, algorithm), tmp_path / "state.pt")
    expected = train(source, algorithm, 2)

    for order in (["source", "policy", "algorithm"], ["algorithm", "policy", "source"]):
        other_source, other, _ = make()
        train(other_source, other, 1)
        components = {"policy": other.policy, "source": other_source, "algorithm": other}
        for name in order:
            components[name].set_state(copy.deepcopy(state[name]))
        assert_equal(train(other_source, other, 2), expected)
        assert_equal(whole_state(other_source, other), whole_state(source, algorithm))


def test_every_update_moves_the_clock_and_the_weights(make):
    source, algorithm, _ = make()
    before = copy.deepcopy(algorithm.policy.get_state()["network"])
    batch = source.sample()
    assert batch.num_steps >= 1
    assert batch.num_samples >= 1
    metrics = algorithm.update(batch)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    after = algorithm.policy.get_state()["network"]
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_policy_taken_over_makes_the_same_choices(make):
    source, algorithm, _ = make()
    train(source, algorithm, 2)
    observation = observed(source.sample())
    policy = algorithm.policy
    _, other, _ = make()
    other.policy.set_state(policy.get_state())
    observation = observation.reshape(-1, *source.observation_space.shape)[:8]
    mask = np.ones((8, source.action_space.mask_size), bool) if source.masked else None
    chosen = [
        p.act(observation, action_mask=mask, state=p.initial_state(8), return_info=True)
        for p in (policy, other.policy)
    ]
    assert_equal(*chosen)


def test_what_is_not_finite_never_reaches_the_weights(make):
    source, algorithm, _ = make()
    train(source, algorithm, 2)
    before = copy.deepcopy(whole_state(source, algorithm))
    batch = source.sample()
    network = algorithm.policy.network
    spoiled = next(iter(network.policy.parameters()))
    kept = spoiled.detach().clone()
    with torch.no_grad():
        spoiled.fill_(float("nan"))
    with pytest.raises(NonFiniteError):
        algorithm.update(batch)
    with torch.no_grad():
        assert torch.isnan(spoiled).all()
        spoiled.copy_(kept)
    assert_equal(algorithm.policy.get_state()["network"], before["policy"]["network"])
    assert_equal(algorithm.get_state()["optimizer"], before["algorithm"]["optimizer"])


def test_an_evaluation_repeats_itself_and_disturbs_nothing(make):
    source, algorithm, evaluator = make()
    train(source, algorithm, 2)
    before = copy.deepcopy((whole_state(source, algorithm), evaluator.get_state()))
    randomness = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = evaluator.evaluate(algorithm)
    assert evaluator.metric_names == tuple(first)
    assert first == evaluator.evaluate(algorithm)
    assert all(np.isfinite(value) for value in first.values())
    assert_equal((whole_state(source, algorithm), evaluator.get_state()), before)
    assert torch.equal(torch.get_rng_state(), randomness[0])
    assert np.random.get_state()[1].tolist() == randomness[1]
    assert random.getstate() == randomness[2]
