"""Networks that compute in another precision, or compiled."""

import copy
import shutil

import pytest
import torch
from torch import nn

from poke.networks.auto import auto_network
from poke.networks.computing import compute, is_plain
from poke.networks.numpy_mlp import NumpyMLP
from poke.spaces import ObservationSpace

from ..contracts.parts import NETWORK

SPACES = {
    "numbers": ObservationSpace.box((5,)),
    "pictures": ObservationSpace.box((3, 36, 36), "uint8", low=0, high=255),
}
# What torch says of itself while it compiles is no concern of ours.
compiles = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
HOW = {"mixed": {"mixed": True, "compiled": False}, "compiled": {"mixed": False, "compiled": True}}


def made(kind="numbers", **how):
    torch.manual_seed(0)
    memory = "gru" if kind == "memory" else None
    space = SPACES.get(kind, SPACES["numbers"])
    network = auto_network(observation_space=space, num_outputs=3, **{**NETWORK, "memory": memory})
    if how:
        compute(network, **how)
    return network


def asked(network, kind="numbers"):
    generator = torch.Generator().manual_seed(1)
    if kind == "pictures":
        return network(torch.randint(0, 255, (4, 3, 36, 36), generator=generator).byte())
    seen = torch.randn(4, 5, generator=generator)
    if kind != "memory":
        return network(seen)
    state = torch.full((4, network.state_size), 0.5)
    outputs, after = network.step(seen, state)
    begins = torch.zeros(2, 4, dtype=torch.bool)
    unrolled, _ = network.unroll(torch.stack([seen, seen]), state, begins)
    torch.testing.assert_close(unrolled[0], outputs)
    return torch.cat([outputs, after], dim=1)


@pytest.mark.parametrize("kind", ["numbers", "pictures", "memory"])
def test_in_mixed_precision_products_are_coarse_and_what_comes_out_is_not(kind):
    plain, mixed = made(kind), made(kind, **HOW["mixed"])
    expected, found = asked(plain, kind), asked(mixed, kind)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02)
    assert list(mixed.state_dict()) == list(plain.state_dict())
    assert all(w.dtype == torch.float32 for w in mixed.parameters())
    found.square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.abs().sum() > 0 for p in mixed.parameters())


@pytest.mark.parametrize("how", ["mixed", pytest.param("compiled", marks=compiles)])
def test_a_deep_copy_computes_by_its_own_weights(how):
    network = made(**HOW[how])
    before = asked(network).detach()
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    assert asked(other).abs().sum() == 0
    assert torch.equal(asked(network), before)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_computes_the_same():
    expected, found = asked(made()), asked(made(**HOW["compiled"]))
    torch.testing.assert_close(found, expected)


def test_torch_is_asked_to_compile_each_method_once(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda method: compiled.append(method) or method)
    network = made(**HOW["compiled"])
    asked(network)
    asked(network)
    assert len(compiled) == 1


def test_numpy_does_not_compute_in_place_of_what_is_asked_for():
    network = made()
    assert is_plain(network)
    assert NumpyMLP.supports(network)
    assert not NumpyMLP.supports(made(**HOW["mixed"]))
    compute(network, mixed=False, compiled=False)
    assert is_plain(network)
    assert is_plain(nn.Linear(2, 2))
