"""Networks that compute in another precision, or compiled."""

import copy
import math
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
HOW = {
    "bfloat16": {"precision": "bf16-mixed", "compiled": False},
    "float16": {"precision": "16-mixed", "compiled": False},
    "compiled": {"precision": 32, "compiled": True},
}
MIXED = ["bfloat16", "float16"]


def made(kind="numbers", *, activation_checkpointing=False, **how):
    torch.manual_seed(0)
    memory = "gru" if kind == "memory" else None
    space = SPACES.get(kind, SPACES["numbers"])
    network = auto_network(
        observation_space=space,
        num_outputs=3,
        activation_checkpointing=activation_checkpointing,
        **{**NETWORK, "memory": memory},
    )
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


@pytest.mark.parametrize("how", MIXED)
@pytest.mark.parametrize("kind", ["numbers", "pictures", "memory"])
def test_in_mixed_precision_products_are_coarse_and_what_comes_out_is_not(kind, how):
    plain, mixed = made(kind), made(kind, **HOW[how])
    expected, found = asked(plain, kind), asked(mixed, kind)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02)
    assert list(mixed.state_dict()) == list(plain.state_dict())
    assert all(w.dtype == torch.float32 for w in mixed.parameters())
    found.square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.abs().sum() > 0 for p in mixed.parameters())


def gradients(network, kind, size=1.0):
    """Of something that is as large as asked, by all that is learned."""
    network.zero_grad()
    (asked(network, kind).square().mean() * size).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize("size", [1e-12, 1e-4, 1.0, 1e4, 1e12])
@pytest.mark.parametrize("kind", ["numbers", "pictures", "memory"])
def test_gradients_in_float16_are_true_whatever_their_size(kind, size):
    """A float16 knows no number between 6e-8 and 0, and none above 65504."""
    expected = gradients(made(kind), kind, size)
    found = gradients(made(kind, **HOW["float16"]), kind, size)
    assert (found - expected).norm() < 0.01 * expected.norm()
    assert ((found == 0) == (expected == 0)).float().mean() > 0.99


def test_gradients_in_float16_of_two_passes_of_other_sizes_add_up():
    def both(network):
        (1e-9 * asked(network).sum() + 1e6 * asked(network).square().sum()).backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()])

    expected, found = both(made()), both(made(**HOW["float16"]))
    assert (found - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("how", ["float16", "bfloat16"])
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_gradients_that_are_not_finite_stay_so(how, poison):
    network = made(**HOW[how])
    (asked(network) * poison).sum().backward()
    assert not any(p.grad.isfinite().all() for p in network.parameters())


def test_gradients_in_float16_reach_what_a_network_was_given():
    seen = torch.randn(4, 5, requires_grad=True)
    grads = []
    for network in (made(), made(**HOW["float16"])):
        grads += torch.autograd.grad(1e-9 * network(seen).square().sum(), seen)
    expected, found = grads
    assert (found - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("how", [None, *MIXED])
@pytest.mark.parametrize("kind", ["numbers", "pictures", "memory"])
def test_what_is_computed_again_on_the_way_back_is_the_same_and_was_not_kept(kind, how):
    def run(**options):
        network = made(kind, **(HOW[how] if how else {}), **options)
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            loss = asked(network, kind).square().sum()
        loss.backward()
        grads = torch.cat([p.grad.flatten() for p in network.parameters()])
        return loss.detach(), grads, sum(t.nbytes for t in kept)

    (loss, grads, kept), (again, grads_again, kept_less) = (
        run(),
        run(activation_checkpointing=True),
    )
    assert torch.equal(again, loss)
    assert torch.equal(grads_again, grads)
    assert kept_less < kept


@pytest.mark.parametrize("how", [*MIXED, pytest.param("compiled", marks=compiles)])
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
    assert not NumpyMLP.supports(made(**HOW["bfloat16"]))
    compute(network, precision=32, compiled=False)
    assert is_plain(network)
    assert is_plain(nn.Linear(2, 2))
