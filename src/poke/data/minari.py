"""Demonstrations from a Minari dataset on this machine (https://minari.farama.org).

Discrete, MultiDiscrete, MultiBinary and continuous actions; observations of Box, Discrete, MultiDiscrete and
MultiBinary, and of Dict and Tuple of these; an entry `action_mask` of a Dict is the mask of legal actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from poke.data.demonstrations import Demonstrations
from poke.data.files.assembling import assemble
from poke.data.files.described import DataError, described
from poke.data.files.steps import Trajectories
from poke.distributed.ranks import ALONE, Ranks
from poke.spaces import ActionSpace, ObservationSpace, SpaceError

if TYPE_CHECKING:
    from minari import EpisodeData, MinariDataset


class MinariDemonstrations(Demonstrations):
    """Source: a local Minari dataset, split and served as a file of demonstrations is.

    Args:
        dataset_id: as Minari names it, such as D4RL/door/human-v2. Nothing is downloaded.
        batch_size: decisions an update.
        val_fraction: share of the episodes held out.
        sequence_length: as of `Demonstrations`.
        seed: of the order in which decisions are served.
        device: where the decisions are kept.
        filter, normalize_observation, ranks: as of `Demonstrations`.

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
        filter: str | None = None,
        normalize_observation: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(
            read(dataset_id),
            batch_size=batch_size,
            val_fraction=val_fraction,
            sequence_length=sequence_length,
            seed=seed,
            device=device,
            filter=filter,
            normalize_observation=normalize_observation,
            ranks=ranks,
        )


def read(dataset_id: str) -> Trajectories:
    """Read a local Minari dataset.

    Args:
        dataset_id: as Minari names it.

    Raises:
        DataError: not here, without episodes, or with observations or actions of a kind that poke does not know.
    """
    dataset = _load(dataset_id)
    from poke.spaces.gymnasium import read_actions, read_observations

    episodes = [episode for episode in dataset.iterate_episodes() if len(episode.actions)]
    if not episodes:
        raise DataError(f"{dataset_id} holds no episodes")
    try:
        observations = read_observations(dataset_id, dataset.observation_space)
        actions = read_actions(dataset_id, dataset.action_space)
        arrays = {
            "observation": np.concatenate([_observed(e, observations) for e in episodes]),
            "action": np.concatenate([_done(e, actions) for e in episodes]),
        }
        if observations.mask is not None:
            masks = [_legal(e, observations, actions) for e in episodes]
            arrays["action_mask"] = np.concatenate(masks)
    except SpaceError as error:
        raise DataError(f"{dataset_id}: {error}") from error
    lengths = [len(episode.actions) for episode in episodes]
    arrays |= {
        "reward": np.concatenate([e.rewards for e in episodes]),
        "terminated": np.concatenate([e.terminations for e in episodes]),
        "truncated": np.concatenate([e.truncations for e in episodes]),
        "episode": np.repeat(np.arange(len(episodes)), lengths),
    }
    arrays |= _finals(episodes, observations, actions)
    about = {**described(observations, actions), "name": dataset_id}
    try:
        return assemble(arrays, about)
    except DataError as error:
        raise DataError(f"{dataset_id}: {error}") from error


def _finals(
    episodes: list[EpisodeData], space: ObservationSpace, actions: ActionSpace
) -> dict[str, np.ndarray]:
    """The last observations of episodes that were cut off, as `assemble` takes them."""
    ends = np.cumsum([len(e.actions) for e in episodes]) - 1
    cut = [(e, end) for e, end in zip(episodes, ends, strict=True) if e.truncations[-1]]
    if not cut:
        return {}
    found = {"final_rows": np.array([end for _, end in cut], np.int64)}
    out = space.empty(len(cut))
    for i, (episode, _) in enumerate(cut):
        space.write(_last(episode.observations), out[i : i + 1])
    found["final_observation"] = out
    if space.mask is not None:
        masks = [actions.read_mask(_last(space.mask_of(e.observations)), 1) for e, _ in cut]
        found["final_action_mask"] = np.concatenate(masks)
    return found


def _load(dataset_id: str) -> MinariDataset:
    try:
        import minari
    except ImportError as error:
        raise DataError("data=minari needs minari: pip install 'poke[minari]'") from error
    try:
        return minari.load_dataset(dataset_id, download=False)
    except (FileNotFoundError, ValueError) as error:
        here = ", ".join(sorted(minari.list_local_datasets())) or "none"
        raise DataError(
            f"no Minari dataset {dataset_id} on this machine (there are: {here})"
        ) from error


def _observed(episode: EpisodeData, space: ObservationSpace) -> np.ndarray:
    """An episode's observations as poke keeps them, without the last, on which nothing was decided."""
    count = len(episode.actions)
    out = space.empty(count)
    space.write(_first(episode.observations, count), out)
    return out


def _legal(episode: EpisodeData, space: ObservationSpace, actions: ActionSpace) -> np.ndarray:
    count = len(episode.actions)
    return actions.read_mask(_first(space.mask_of(episode.observations), count), count)


def _done(episode: EpisodeData, space: ActionSpace) -> np.ndarray:
    if not isinstance(episode.actions, np.ndarray):
        raise SpaceError(f"actions are no plain arrays, but {type(episode.actions).__name__}")
    return space.from_environment(episode.actions)


def _last(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _last(inner) for name, inner in part.items()}
    if isinstance(part, tuple):
        return tuple(_last(inner) for inner in part)
    return np.asarray(part)[-1:]


def _first(part: Any, count: int) -> Any:
    if isinstance(part, dict):
        return {name: _first(inner, count) for name, inner in part.items()}
    if isinstance(part, tuple):
        return tuple(_first(inner, count) for inner in part)
    return np.asarray(part)[:count]
