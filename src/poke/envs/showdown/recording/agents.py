"""Policies of runs in a recording: they decide on this side of the pipes. Imports torch, which only they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
import xxhash

from poke.envs.showdown.battles.environment import spaces
from poke.envs.showdown.battles.opponents import misfit
from poke.envs.showdown.names import BattleError, is_run
from poke.envs.showdown.pipes.records import unpack_masks


class Policy(Protocol):
    """What `poke.load` returns, as far as it is asked here."""

    observation_space: Any
    action_space: Any

    def initial_state(self) -> Any:
        """Return a memory of nothing; None for a policy without memory."""
        ...

    def choose(self, observation: np.ndarray, *, action_mask: np.ndarray, state: Any) -> Any:
        """Choose for a batch of observations."""
        ...

    def get_state(self) -> dict[str, Any]:
        """Return all that acting takes."""
        ...


class Policies:
    """The policies among a recording's players, by the places of their runs.

    Args:
        names: of players.
        format: what they play.
        load: returns the policy of a run.

    Raises:
        BattleError: a policy plays another game.
        ValueError: as of `load`.
    """

    def __init__(self, names: Iterable[str], format: str, load: Callable[[str], Policy]) -> None:
        self._policies = {name: load(name) for name in dict.fromkeys(names) if is_run(name)}
        seen, asked = spaces(format)
        for name, policy in self._policies.items():
            why = misfit(policy.observation_space, policy.action_space, seen, asked)
            if why:
                raise BattleError(f"{name} {why}")

    @property
    def digests(self) -> dict[str, str]:
        """What tells each policy from what it may become: xxh3_128, in hex, of its weights and statistics."""
        return {name: _digest(policy) for name, policy in self._policies.items()}

    def mind(self, name: str) -> Mind:
        """Return what decides for a run's policy in one seat of one battle."""
        return Mind(self._policies[name])


class Mind:
    """A policy in one seat of one battle.

    It is asked for one decision at a time: what a network makes of an observation may depend, in the last bits, on
    what else is in the batch, and a recording depends on nothing but its seed.

    Args:
        policy: decides, by its most probable action.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._memory = policy.initial_state()
        self._num_actions = policy.action_space.sizes[0]

    def choose(self, observation: np.ndarray, mask: int) -> int:
        """Return an action.

        Args:
            observation: `[layout.SIZE]` int8.
            mask: bits of what is legal.
        """
        legal = unpack_masks(np.array([mask], np.uint32), self._num_actions)
        chosen = self._policy.choose(observation[None], action_mask=legal, state=self._memory)
        return int(chosen.action[0])


def _digest(policy: Policy) -> str:
    digest = xxhash.xxh3_128()
    state = policy.get_state()
    for part in ("network", "normalizer"):
        _feed(digest, state[part])
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for name in sorted(value):
            digest.update(f"{name}:".encode())
            _feed(digest, value[name])
    elif isinstance(value, torch.Tensor):
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    else:
        digest.update(f"{value!r};".encode())
