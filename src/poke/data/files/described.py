"""What a file says of its observations and actions: written from spaces, told from arrays, checked, read as spaces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from poke.spaces import ActionSpace, ObservationSpace

OBSERVATION_DTYPES = ("int8", "uint8", "int16", "float16", "float32")


class DataError(ValueError):
    """Data that cannot be used; the message is one line that names the file and the fault."""


def described(observations: ObservationSpace, actions: ActionSpace) -> dict[str, Any]:
    """Return the metadata's blocks ``observation`` and ``action``; squashed actions are recorded as they were taken."""
    actions = replace(actions, bounds="clip")
    return {
        "observation": {
            "dtype": str(observations.dtype),
            "shape": list(observations.shape),
            "space": observations.to_dict(),
        },
        "action": {**_shortly(actions), "space": actions.to_dict()},
    }


def guessed(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with what it does not say of observations and actions told from the arrays.

    Args:
        arrays: by the names of `poke.data.files.steps.Trajectories`.
        metadata: what is known.

    Raises:
        DataError: it cannot be told.
    """
    known = dict(metadata)
    observation, action = arrays["observation"], arrays["action"]
    if "observation" not in known:
        known["observation"] = {
            "dtype": str(observation.dtype),
            "shape": list(observation.shape[1:]),
        }
    if "action" not in known:
        known["action"] = _shortly(_space_of(action, arrays.get("action_mask")))
    return known


def check_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Check what metadata says of observations and actions, and return it as poke keeps such.

    Raises:
        DataError: it says nothing, or nothing that can be.
    """
    try:
        observation, action = dict(metadata["observation"]), dict(metadata["action"])
        observation["dtype"] = _kept(observation["dtype"])
        valid = all(type(n) is int and n > 0 for n in observation["shape"])
        space = action_space(action)
        valid &= space.continuous or (bool(space.sizes) and min(space.sizes) > 0)
        valid &= not space.continuous or math.prod(space.shape) > 0
    except (KeyError, TypeError, ValueError, AttributeError):
        valid = False
    if not valid:
        raise DataError("its metadata does not say what its observations and actions are")
    if "space" in observation:
        try:
            seen = ObservationSpace.from_dict(observation["space"])
            fits = (str(seen.dtype), list(seen.shape)) == (
                observation["dtype"],
                list(observation["shape"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise DataError(
                "its metadata says two things of its observations, in dtype and shape and in space"
            )
    short = _shortly(space)
    if "space" in action and any(action.get(key, value) != value for key, value in short.items()):
        raise DataError("its metadata says two things of its actions, in kind and in space")
    if space.continuous and len(space.shape) != 1:  # the rows hold them flat
        action["space"] = space.to_dict()
    return {**metadata, "observation": observation, "action": {**action, **short}}


def action_space(action: Mapping[str, Any]) -> ActionSpace:
    """Return the space that the metadata's block ``action`` describes.

    Raises:
        KeyError, TypeError, ValueError: it describes none.
    """
    if "space" in action:
        return ActionSpace.from_dict(action["space"])
    kind = action["kind"]
    if kind == "continuous":
        return ActionSpace.continuous_box(tuple(action["shape"]))
    if kind == "discrete":
        return ActionSpace.discrete(_whole(action["num_actions"]))
    if kind not in ("multi_discrete", "multi_binary"):
        raise ValueError(f"no actions are {kind}")
    sizes = tuple(map(_whole, action["sizes"]))
    return ActionSpace(kind, sizes, (0,) * len(sizes), (len(sizes),))


def _shortly(space: ActionSpace) -> dict[str, Any]:
    if space.continuous:
        return {"kind": "continuous", "shape": list(space.action_shape)}
    if space.kind == "discrete":
        return {"kind": "discrete", "num_actions": space.sizes[0]}
    return {"kind": space.kind, "sizes": list(space.sizes)}


def _space_of(action: np.ndarray, mask: np.ndarray | None) -> ActionSpace:
    if action.dtype.kind == "f":
        return ActionSpace.continuous_box(action.shape[1:] or (1,))
    if action.dtype.kind not in "biu" or action.ndim > 2 or not action.size:
        raise DataError(
            f"action is {action.dtype} {list(action.shape)}, which is no kind of action"
        )
    most = np.atleast_1d(action.max(axis=0)).astype(int) + 1
    if action.ndim == 1:
        width = mask.shape[1] if mask is not None and mask.ndim == 2 else 0
        return ActionSpace.discrete(width or max(int(most[0]), 1 + (action.dtype.kind == "b")))
    if mask is not None:
        raise DataError("with masks of several choices the metadata must say how many each has")
    sizes = tuple(max(1, size) for size in most.tolist())
    return ActionSpace("multi_discrete", sizes, (0,) * len(sizes), (len(sizes),))


def _kept(dtype: Any) -> str:
    """The dtype that observations are kept in: their own where a file may have it, else numbers."""
    kind = np.dtype(dtype)
    if kind.kind not in "biuf":
        raise ValueError(f"observations are {kind}")
    if kind.kind == "b":
        return "int8"
    return str(kind) if str(kind) in OBSERVATION_DTYPES else "float32"


def _whole(number: Any) -> int:
    if type(number) is not int:
        raise TypeError(f"{number!r} is no whole number")
    return number
