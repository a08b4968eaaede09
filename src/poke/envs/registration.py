"""Gymnasium environments by the name they are registered under. Imports no torch."""

from __future__ import annotations

import difflib
import importlib

import gymnasium as gym


class UnsupportedEnvironmentError(ValueError):
    """An environment that does not exist or that poke cannot play; the message is one line."""


def find(id: str) -> gym.envs.registration.EnvSpec:
    """Return the registration of an environment.

    Raises:
        UnsupportedEnvironmentError: there is none; the message names similar ones.
    """
    if id.startswith("ALE/"):
        try:
            import ale_py
        except ImportError as error:
            raise UnsupportedEnvironmentError(
                f"{id} needs ale-py: pip install 'poke[atari]'"
            ) from error
        gym.register_envs(ale_py)
    module, _, name = id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        near = difflib.get_close_matches(id, list(gym.registry), n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise UnsupportedEnvironmentError(f"unknown environment env.id={id}{hint}") from error
