"""Random states as values."""

import random

import numpy as np
import pytest
import torch

from poke.training.rng import RandomStates


def through_a_file(state, tmp_path):
    torch.save(state, tmp_path / "state.pt")
    return torch.load(tmp_path / "state.pt", weights_only=True)


def draw_globals():
    return [
        random.random(),
        random.gauss(),
        np.random.random(),
        np.random.normal(),
        torch.randn(3).tolist(),
        torch.randperm(10).tolist(),
    ]


def test_the_global_generators_repeat_themselves(tmp_path):
    random.gauss()  # leaves a second normal number waiting, which is part of the state
    np.random.normal()
    states = RandomStates()
    saved = through_a_file(states.get_state(), tmp_path)
    drawn = draw_globals()
    states.set_state(saved)
    assert draw_globals() == drawn


GENERATORS = {
    "pcg": lambda: np.random.Generator(np.random.PCG64(1)),
    "mersenne": lambda: np.random.Generator(np.random.MT19937(1)),
    "philox": lambda: np.random.Generator(np.random.Philox(1)),
    "sfc": lambda: np.random.Generator(np.random.SFC64(1)),
    "python": lambda: random.Random(1),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_further_generators_repeat_themselves(tmp_path, kind):
    generator = GENERATORS[kind]()
    states = RandomStates({"env": generator})
    generator.random()
    saved = through_a_file(states.get_state(), tmp_path)
    drawn = [generator.random() for _ in range(5)]
    other = GENERATORS[kind]()
    RandomStates({"env": other}).set_state(saved)
    assert [other.random() for _ in range(5)] == drawn


def test_a_torch_generator_repeats_itself(tmp_path):
    generator = torch.Generator().manual_seed(5)
    states = RandomStates({"sampler": generator})
    saved = through_a_file(states.get_state(), tmp_path)
    drawn = torch.rand(5, generator=generator)
    states.set_state(saved)
    assert torch.equal(torch.rand(5, generator=generator), drawn)


def test_a_generator_missing_from_the_state_is_an_error():
    saved = RandomStates().get_state()
    with pytest.raises(KeyError, match="env"):
        RandomStates({"env": random.Random()}).set_state(saved)


def test_taking_the_state_draws_nothing():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    RandomStates().get_state()
    assert torch.equal(torch.rand(1), expected)


def test_missing_cuda_devices_are_said(caplog):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA devices")
    saved = RandomStates().get_state()
    saved["cuda"] = [torch.get_rng_state()]
    RandomStates().set_state(saved)
    assert "1 CUDA devices, here are 0" in caplog.text
