"""Does a network fit what it is to see and to put out?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from poke.spaces import ObservationSpace


class MisfitError(ValueError):
    """A network that does not fit; the message is one line."""


@torch.no_grad()
def check(network: nn.Module, observation_space: ObservationSpace, num_outputs: int) -> None:
    """Give a network observations of zeros and look at what it puts out. Torch's generators are left alone.

    Args:
        network: on its device; with a `state_size` that is not 0 it is asked for a `step`, see
            `poke.networks.memory.MemoryNetwork`.
        observation_space: what it is to take.
        num_outputs: how many numbers it is to put out.

    Raises:
        MisfitError: it does not take them, or puts out anything else.
    """
    name = type(network).__name__
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    # Two, so that a network that mixes up its axes is seen.
    observation = torch.from_numpy(observation_space.empty(2)).to(device)
    state = torch.zeros(2, getattr(network, "state_size", 0), device=device)
    modes = {module: module.training for module in network.modules()}
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        network.eval()
        try:
            outputs, after = _run(network, observation, state)
        except Exception as error:  # a user's own code may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise MisfitError(
                f"{name} does not take observations of {observation_space}: {reason}"
            ) from error
        finally:
            for module, training in modes.items():
                module.training = training
    _check_shape(f"{name} puts out", outputs, (2, num_outputs))
    _check_shape(f"{name} remembers", after, (2, state.shape[1]))


def _run(network: Any, observation: Tensor, state: Tensor) -> tuple[Any, Any]:
    if state.shape[1]:
        outputs, after = network.step(observation, state)
        return outputs, after
    return network(observation), state


def _check_shape(what: str, found: Any, expected: tuple[int, int]) -> None:
    shown = f"[batch, {expected[1]}]"
    if not isinstance(found, Tensor):
        raise MisfitError(f"{what} a {type(found).__name__}, not a tensor {shown}")
    if tuple(found.shape) != expected:
        shape = ["batch" if i == 0 and n == 2 else n for i, n in enumerate(found.shape)]
        raise MisfitError(f"{what} {shape}, not {shown}".replace("'", ""))
