"""Demonstrations from a Minari dataset on this machine (https://minari.farama.org)."""

from __future__ import annotations

import numpy as np
import torch

from poke.data.demonstrations import Demonstrations
from poke.data.steps import DataError, Trajectories, check


class MinariDemonstrations(Demonstrations):
    """Source: a local Minari dataset, split and served as a file of demonstrations is.

    Args:
        dataset_id: as Minari names it, such as D4RL/door/human-v2. Nothing is downloaded.
        batch_size: decisions an update.
        val_fraction: share of the episodes held out.
        sequence_length: as of `Demonstrations`.
        seed: of the order in which decisions are served.
        device: where the decisions are kept.

    Raises:
        DataError: there is no such dataset here, or it holds what cannot be learned from.
    """

    def __init__(
        self,
        dataset_id: str,
        *,
        batch_size: int,
        val_fraction: float,
        sequence_length: int = 32,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(
            read(dataset_id),
            batch_size=batch_size,
            val_fraction=val_fraction,
            sequence_length=sequence_length,
            seed=seed,
            device=device,
        )


def read(dataset_id: str) -> Trajectories:
    """Read a local Minari dataset.

    Args:
        dataset_id: as Minari names it.

    Raises:
        DataError: not here, or with observations or actions that are no plain arrays.
    """
    try:
        import minari
    except ImportError as error:
        raise DataError("data=minari needs minari: pip install 'poke[minari]'") from error
    try:
        dataset = minari.load_dataset(dataset_id, download=False)
    except (FileNotFoundError, ValueError) as error:
        here = ", ".join(sorted(minari.list_local_datasets())) or "none"
        raise DataError(
            f"no Minari dataset {dataset_id} on this machine (there are: {here})"
        ) from error
    episodes = list(dataset.iterate_episodes())
    if not episodes:
        raise DataError(f"{dataset_id} holds no episodes")
    if not all(
        isinstance(part, np.ndarray) for e in episodes for part in (e.observations, e.actions)
    ):
        raise DataError(f"{dataset_id} has observations or actions that are no plain arrays")
    lengths = [len(episode.actions) for episode in episodes]
    # The observation after the last action is in a Minari episode, but nothing was decided on it.
    observation = np.concatenate([e.observations[: len(e.actions)] for e in episodes])
    if observation.dtype not in (np.uint8, np.int8):
        observation = observation.astype(np.float32)
    action = np.concatenate([episode.actions for episode in episodes])
    discrete = np.issubdtype(action.dtype, np.integer) and action.ndim == 1
    space = dataset.action_space
    kind = (
        {"kind": "discrete", "num_actions": int(getattr(space, "n", action.max() + 1))}
        if discrete
        else {"kind": "continuous", "shape": list(action.shape[1:])}
    )
    nothing = np.zeros(len(action), np.int8)
    trajectories = Trajectories(
        observation=observation,
        action=action.astype(np.int64 if discrete else np.float32),
        action_mask=None,
        reward=np.concatenate([e.rewards for e in episodes]).astype(np.float32),
        terminated=np.concatenate([e.terminations for e in episodes]).astype(np.bool_),
        truncated=np.concatenate([e.truncations for e in episodes]).astype(np.bool_),
        episode=np.repeat(np.arange(len(episodes)), lengths),
        player=nothing,
        timestep=np.concatenate([np.arange(length) for length in lengths]).astype(np.int32),
        outcome=nothing,
        metadata={
            "observation": {"dtype": str(observation.dtype), "shape": list(observation.shape[1:])},
            "action": kind,
            "name": dataset_id,
        },
    )
    check(trajectories)
    return trajectories
