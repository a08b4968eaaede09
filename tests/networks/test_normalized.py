"""Layers that are normalised."""

import numpy as np
import pytest
import torch
from torch import nn

from poke.networks.cnn import CNN
from poke.networks.mlp import MLP
from poke.networks.normalized import normalize_layers
from poke.spaces import ObservationSpace


def perceptron(activation="relu"):
    torch.manual_seed(0)
    return MLP(observation_shape=(3,), num_outputs=2, hidden_sizes=(16, 16), activation=activation)


def reach(network):
    """By how much outputs grow where inputs are a thousand times as far."""
    inputs = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return (network(1000 * inputs).abs().mean() / network(inputs).abs().mean()).item()


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_a_layer_is_normalised_before_its_activation(activation):
    network = perceptron(activation)
    plain = perceptron(activation)
    inputs = torch.randn(5, 3)
    found = plain.layers[0](inputs)
    found = (found - found.mean(1, keepdim=True)) / (
        found.var(1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    found = plain.layers[2](plain.layers[1](found))
    found = (found - found.mean(1, keepdim=True)) / (
        found.var(1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    expected = plain.layers[4](plain.layers[3](found))
    normalize_layers(network)
    torch.testing.assert_close(network(inputs), expected)


def test_what_is_far_stays_bounded():
    assert reach(perceptron()) > 100
    network = perceptron()
    normalize_layers(network)
    assert reach(network) < 3


def test_pictures_are_normalised_after_their_convolutions():
    space = ObservationSpace.box((3, 36, 36), "uint8", low=0, high=255)
    network = CNN(observation_space=space, num_outputs=2, hidden_size=8)
    normalize_layers(network)
    assert sum(isinstance(module, nn.LayerNorm) for module in network.modules()) == 1
    pictures = torch.randint(0, 255, (2, 3, 36, 36), dtype=torch.uint8)
    assert np.isfinite(network(pictures).detach().numpy()).all()


def test_a_network_without_such_layers_is_refused():
    with pytest.raises(ValueError, match=r"^Linear has no layers that algo\.critics\.layer_norm"):
        normalize_layers(nn.Linear(3, 2))
