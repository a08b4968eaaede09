"""Layers whose weights are noisy while exploring and learning, and that learn how noisy.

Fortunato et al., "Noisy Networks for Exploration", ICLR 2018, with factorised Gaussian noise (section 3, option b).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from poke.networks.battle import EntityEncoder

INITIAL_STD = 0.5  # sigma_0 of section 3.2, divided by the root of the number of inputs


class NoisyLinear(nn.Linear):
    """A fully connected layer, to the weights of which noise is added in train mode; in eval mode it is `nn.Linear`.

    The means keep the names and the beginning of `nn.Linear`, which is what section 3.2 asks for. The noise is no part
    of the state: it is drawn anew for every use, see `Noise`.

    Args:
        mean: the layer whose parameters become the means, and are shared.
    """

    input_noise: Tensor
    output_noise: Tensor

    def __init__(self, mean: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = mean.in_features, mean.out_features
        self.weight, self.bias = mean.weight, mean.bias
        std = INITIAL_STD / self.in_features**0.5
        self.weight_std = nn.Parameter(torch.full_like(mean.weight, std))
        self.bias_std = None if mean.bias is None else nn.Parameter(torch.full_like(mean.bias, std))
        for name, size in (("input", self.in_features), ("output", self.out_features)):
            noise = torch.zeros(size, device=mean.weight.device)
            self.register_buffer(f"{name}_noise", noise, persistent=False)

    @property
    def noise_size(self) -> int:
        """How many numbers are drawn for it."""
        return self.in_features + self.out_features

    def set_noise(self, noise: Tensor) -> None:
        """Take other noise.

        Args:
            noise: `[noise_size]` float32, standard normal.
        """
        bent = noise.sign() * noise.abs().sqrt()  # f of equation 10
        self.input_noise.copy_(bent[: self.in_features])
        self.output_noise.copy_(bent[self.in_features :])

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., in_features]` to `[..., out_features]` float32."""
        said = super().forward(x)
        if not self.training:
            return said
        # Equations 9 to 11. The noise of a weight is a product, so that it can stand before and behind the layer's: no
        # matrix of noise or of noisy weights is made, forwards or backwards.
        noisy = functional.linear(x * self.input_noise, self.weight_std, self.bias_std)
        return said + noisy * self.output_noise


class Noise:
    """Context: noise is drawn for a network, and its noisy layers use it, in eval mode too.

    What was computed within is to lead its gradients back before noise is drawn for the same network again.

    Args:
        network: without noisy layers nothing is drawn.
        generator: on the CPU, so that every device gets the same noise; torch's own is left alone.
    """

    def __init__(self, network: nn.Module, generator: torch.Generator) -> None:
        self._layers = [m for m in network.modules() if isinstance(m, NoisyLinear)]
        self._sizes = [layer.noise_size for layer in self._layers]
        self._generator = generator

    def __enter__(self) -> None:
        if not self._layers:
            return
        # One draw for all layers, and one copy to a device.
        noise = torch.randn(sum(self._sizes), generator=self._generator)
        parts = noise.to(self._layers[0].weight.device).split(self._sizes)
        self._modes = [layer.training for layer in self._layers]
        for layer, part in zip(self._layers, parts, strict=True):
            layer.set_noise(part)
            layer.training = True

    def __exit__(self, *raised: object) -> None:
        for layer, mode in zip(self._layers, self._modes if self._layers else (), strict=True):
            layer.training = mode


def make_noisy(module: nn.Module) -> None:
    """Replace the fully connected layers within a module by noisy ones, as Rainbow does with all of its own.

    Convolutions and recurrent layers are left as they are, and so is what encodes a single entity of a battle: it takes
    its layer apart.

    Args:
        module: is changed.
    """
    for name, child in module.named_children():
        if type(child) is nn.Linear:  # a subclass may compute anything else
            setattr(module, name, NoisyLinear(child))
        elif not isinstance(child, EntityEncoder):
            make_noisy(child)
