"""Layers that are normalised: Ba, Kiros, Hinton, "Layer Normalization", 2016."""

from __future__ import annotations

from torch import nn

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.GELU)


def normalize_layers(network: nn.Module) -> None:
    """Let every layer's outputs be normalised before their activation, in place.

    Args:
        network: whose linear layers stand before their activations in `nn.Sequential`s, as of poke's own of numbers
            and pictures; convolutions and memories stay as they are.

    Raises:
        ValueError: it has none such.
    """
    found = False
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for i in reversed(range(len(module) - 1)):
            layer = module[i]
            if isinstance(layer, nn.Linear) and isinstance(module[i + 1], ACTIVATIONS):
                module.insert(i + 1, nn.LayerNorm(layer.out_features, device=layer.weight.device))
                found = True
    if not found:
        raise ValueError(
            f"{type(network).__name__} has no layers that algo.critics.layer_norm could normalise: "
            "networks of numbers have, as network=mlp"
        )
