"""Action masks, wherever an environment gives them: in its observations or in info, at resets, at steps or both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from poke.spaces import ActionSpace, ObservationSpace, SpaceError

log = logging.getLogger("poke")


class Masks:
    """Which actions are legal in each of several environments: all, where an environment does not say.

    Args:
        num_envs: environments.
        actions: what is chosen among.
        masked: whether there are masks at all.
    """

    def __init__(self, num_envs: int, actions: ActionSpace, masked: bool) -> None:
        self._actions = actions
        self._told = False
        self.rows = np.ones((num_envs, actions.mask_size), np.bool_) if masked else None

    def put(self, i: int, mask: Any, *, begins: bool) -> None:
        """Take the mask that an environment gave; None where it gave none.

        Args:
            i: which environment.
            mask: as `ActionSpace.read_mask` takes it.
            begins: it came with an episode's first observation.

        Raises:
            SpaceError: it does not fit, or is the first of an environment that seemed to have none.
        """
        if self.rows is None:
            if mask is not None:
                raise SpaceError(
                    f"environment {i} gives an action mask, but gave none when it was tried: "
                    "give one at every reset"
                )
            return
        if mask is not None:
            self.rows[i] = self._actions.read_mask(mask)
            return
        self.rows[i] = True
        if not begins and not self._told:
            self._told = True
            log.warning(
                "environment %d gave an action mask before, and none with this step: "
                "every action counts as legal wherever there is none",
                i,
            )

    def put_all(
        self, mask: Any, given: np.ndarray | None, waiting: np.ndarray, *, begins: bool
    ) -> None:
        """Take the masks of all environments at once.

        Args:
            mask: `[num_envs, mask_size]`, a tuple of one such array a choice, an array of objects; or None.
            given: `[num_envs]` bool, whose mask it holds; None where that of all.
            waiting: `[num_envs]` bool, which only wait for their reset: all is legal.
            begins: as of `put`.

        Raises:
            SpaceError: as of `put`.
        """
        if self.rows is None and mask is None:
            return
        if (isinstance(mask, np.ndarray) and mask.dtype != np.object_) or isinstance(mask, tuple):
            mask = self._actions.read_mask(mask, len(waiting))
        for i in range(len(waiting)):
            if waiting[i] and self.rows is not None:
                self.rows[i] = True
            else:
                known = mask is not None and (given is None or given[i])
                self.put(i, mask[i] if known else None, begins=begins)


def find_mask(observation: Any, info: Mapping[str, Any], space: ObservationSpace) -> Any:
    """Return the mask that comes in the observation, where its space says so, or in info; None where there is none."""
    return space.mask_of(observation) if space.mask is not None else info.get("action_mask")
