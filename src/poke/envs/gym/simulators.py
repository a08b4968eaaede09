"""Simulators that keep their state where Python does not see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Simulator(Protocol):
    """How the state of one kind of simulator is taken and put back."""

    def owns(self, value: Any) -> bool:
        """Return whether this is what such a simulator keeps its state in."""

    def take(self, value: Any) -> Any:
        """Return a copy of its state."""

    def restore(self, value: Any, taken: Any) -> None:
        """Put back what `take` returned."""


class _MuJoCo:
    """MjData: the integration state by MuJoCo's own means, and every array derived from it."""

    def owns(self, value: Any) -> bool:
        return type(value).__name__ == "MjData"

    def take(self, data: Any) -> dict[str, Any]:
        import mujoco

        spec = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(data.model, spec))
        mujoco.mj_getState(data.model, data, state, spec)
        derived = [[["plain", name], _packed(a)] for name, a in arrays(data).items()]
        return {"integration": _packed(state), "derived": ["dict", derived]}

    def restore(self, data: Any, taken: Mapping[str, Any]) -> None:
        import mujoco

        spec = mujoco.mjtState.mjSTATE_INTEGRATION
        mujoco.mj_setState(data.model, data, _unpacked(taken["integration"]), spec)
        # The contacts' arrays get their sizes from a forward pass, then all get their values back.
        mujoco.mj_forward(data.model, data)
        now = arrays(data)
        for name, kept in taken["derived"][1]:
            values = _unpacked(kept)
            if name[1] in now and now[name[1]].shape == values.shape:
                now[name[1]][...] = values


class _Atari:
    """ALEInterface: the emulator's own serialised state, random generator included."""

    def owns(self, value: Any) -> bool:
        return type(value).__name__ == "ALEInterface"

    def take(self, ale: Any) -> bytes:
        return ale.cloneState(include_rng=True).serialize()

    def restore(self, ale: Any, taken: bytes) -> None:
        import ale_py

        ale.restoreState(ale_py.ALEState(taken))


SIMULATORS: tuple[Simulator, ...] = (_MuJoCo(), _Atari())


def arrays(value: Any) -> dict[str, np.ndarray]:
    """Return the arrays of numbers that a simulator's object shows as its attributes, by name."""
    found = {}
    for name in dir(value):
        if not name.startswith("_"):
            array = getattr(value, name)
            numbers = isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
            if numbers and array.flags.writeable:
                found[name] = array
    return found


def packed(content: bytes) -> bytes | None:
    """Return bytes as a checkpoint holds them: none as None, since pickle makes them by a call that is not allowed."""
    return content or None


def _packed(array: np.ndarray) -> list[Any]:
    """An array as `poke.envs.gym.snapshot` has one."""
    return ["array", array.dtype.str, list(array.shape), packed(array.tobytes())]


def _unpacked(taken: Any) -> np.ndarray:
    return np.frombuffer(taken[3] or b"", np.dtype(taken[1])).reshape(taken[2])
