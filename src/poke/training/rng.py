"""The random states of a process as values.

With them a resumed run draws the numbers that the first would have drawn.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

logger = logging.getLogger("poke")

Generator = random.Random | np.random.Generator | torch.Generator


class RandomStates:
    """The random states of python, numpy, torch, CUDA and further generators as one Stateful.

    Args:
        generators: those in play beside the global ones, by the name their state is stored under.
    """

    def __init__(self, generators: Mapping[str, Generator] | None = None) -> None:
        self._generators = dict(generators or {})

    def get_state(self) -> dict[str, Any]:
        """Return the states as numbers, strings, lists, tuples, dicts and uint8 tensors."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return {
            "python": random.getstate(),
            "numpy": to_values(np.random.get_state(legacy=False)),
            "torch": torch.get_rng_state(),
            "cuda": cuda,
            "generators": {
                name: _generator_state(generator) for name, generator in self._generators.items()
            },
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what ``get_state`` returned.

        CUDA states are restored as far as there are devices; a difference in their number is said
        in one line, because such a run cannot repeat the first exactly.

        Raises:
            KeyError: the state's generators are not those of this process.
        """
        if unpaired := state["generators"].keys() ^ self._generators.keys():
            raise KeyError(f"generators in one of state and process only: {sorted(unpaired)}")
        random.setstate(_as_tuples(state["python"]))
        np.random.set_state(from_values(state["numpy"]))
        torch.set_rng_state(state["torch"])
        _set_cuda_states(state["cuda"])
        for name, generator in self._generators.items():
            _set_generator_state(generator, state["generators"][name])


def seed_everything(seed: int) -> None:
    """Seed the global generators of python, numpy, torch and CUDA.

    Args:
        seed: at least 0; numpy takes its lowest 32 bits.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def to_values(state: Any) -> Any:
    """Return a numpy bit generator's state with tensors for arrays, numbers for scalars."""
    if isinstance(state, np.ndarray):
        return torch.from_numpy(state.copy())
    if isinstance(state, np.generic):
        return state.item()
    if isinstance(state, dict):
        return {key: to_values(value) for key, value in state.items()}
    return state


def from_values(state: Any) -> Any:
    """Undo ``to_values``."""
    if isinstance(state, torch.Tensor):
        return state.numpy()
    if isinstance(state, Mapping):
        return {key: from_values(value) for key, value in state.items()}
    return state


def _generator_state(generator: Generator) -> Any:
    if isinstance(generator, np.random.Generator):
        return to_values(generator.bit_generator.state)
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    return generator.getstate()


def _set_generator_state(generator: Generator, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = from_values(state)
    elif isinstance(generator, torch.Generator):
        generator.set_state(state)
    else:
        generator.setstate(_as_tuples(state))


def _as_tuples(state: Any) -> Any:
    return tuple(_as_tuples(part) for part in state) if isinstance(state, (list, tuple)) else state


def _set_cuda_states(states: list[torch.Tensor]) -> None:
    num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if states and len(states) != num_devices:
        logger.warning(
            "the checkpoint has random states of %d CUDA devices, here are %d: "
            "what follows will differ from the first run",
            len(states),
            num_devices,
        )
    for device, state in enumerate(states[:num_devices]):
        torch.cuda.set_rng_state(state, device)
