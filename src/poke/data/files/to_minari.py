"""Recorded experience as a Minari dataset on this machine (https://minari.farama.org); `poke.data.minari` reads it."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from typing import Any

import numpy as np

from poke.data.files.described import DataError
from poke.data.files.steps import Trajectories
from poke.spaces.gymnasium import as_actions, as_observations, parts_of

log = logging.getLogger("poke")


def refuse_name(dataset_id: str) -> None:
    """Raise `DataError` where no dataset can be written by that name: Minari is missing, or has another of it."""
    try:
        import minari
        from minari.dataset.minari_dataset import parse_dataset_id
    except ImportError as error:
        raise DataError("out=minari:NAME needs minari: pip install 'poke[minari]'") from error
    try:
        parse_dataset_id(dataset_id)
    except ValueError as error:
        raise DataError(
            f"out=minari:{dataset_id}: Minari's names are as in cartpole/mine-v0"
        ) from error
    if dataset_id in minari.list_local_datasets():
        raise DataError(f"there is a Minari dataset {dataset_id} already: take another name")


def write(dataset_id: str, data: Trajectories, *, description: str) -> int:
    """Write recorded episodes as a dataset, whole or not at all, and return how many it holds.

    Minari has one observation more than decisions, and reads it where an episode was cut off. Where a recording does
    not hold it, such an episode loses its last decision: it is then cut off a step earlier, at what was seen on that.

    Args:
        dataset_id: as Minari names it.
        data: what was recorded. Players of an episode become episodes of their own.
        description: of the dataset.

    Raises:
        DataError: as of `refuse_name`; or the choices of some decisions are not known.
    """
    refuse_name(dataset_id)
    if not data.is_chosen.all():
        raise DataError("Minari has no decisions whose choice is not known, and the recording has")
    import minari
    from minari.data_collector import EpisodeBuffer

    episodes = _episodes(data)
    if not episodes:
        raise DataError(
            "no episode of the recording has a decision of which it is known what it led to"
        )
    masked = data.action_mask is not None
    options: dict[str, Any] = {}
    if "jpeg_encoding" in inspect.signature(minari.create_dataset_from_buffers).parameters:
        options["jpeg_encoding"] = False  # pictures as they were seen
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it would like to be told besides
            minari.create_dataset_from_buffers(
                dataset_id,
                [EpisodeBuffer(id=i, **parts) for i, parts in enumerate(episodes)],
                observation_space=as_observations(
                    data.observation_space, data.action_space.mask_size if masked else 0
                ),
                action_space=as_actions(data.action_space),
                algorithm_name="poke",
                description=description,
                **options,
            )
    except BaseException:
        if dataset_id in minari.list_local_datasets():
            with contextlib.redirect_stdout(io.StringIO()):  # it tells of that
                minari.delete_dataset(dataset_id)
        raise
    return len(episodes)


def _episodes(data: Trajectories) -> list[dict[str, Any]]:
    """What an `EpisodeBuffer` is given of each player's episodes."""
    ends = np.append(np.flatnonzero(data.timestep == 0)[1:], len(data))
    final = {} if data.finals is None else {int(r): i for i, r in enumerate(data.finals.rows)}
    episodes, begin, num_shortened = [], 0, 0
    for end in ends.tolist():
        last = end - 1
        cut = bool(data.truncated[last] and not data.terminated[last])
        unknown = cut and last not in final
        num_shortened += unknown
        if end - unknown > begin:
            episodes.append(_episode(data, begin, end - unknown, final.get(last), cut))
        begin = end
    if num_shortened:
        log.warning(
            "%d episodes that were cut off lose their last decision: it is not known what it led to",
            num_shortened,
        )
    return episodes


def _episode(
    data: Trajectories, begin: int, end: int, final: int | None, cut: bool
) -> dict[str, Any]:
    """One of them: rows `begin` to `end`; what was seen after these, by the number of the final observation.

    Where there is no such number that is the next row where the episode is cut short for it, else the last again, which
    nobody reads.
    """
    rows = np.arange(begin, end)
    if final is not None:
        assert data.finals is not None
        seen = np.concatenate([data.observation[rows], data.finals.observation[final][None]])
    else:
        after = np.append(rows, end if cut else end - 1)
        seen = data.observation[after]
    legal = None
    if data.action_mask is not None:
        if final is not None and data.finals is not None and data.finals.action_mask is not None:
            legal = np.concatenate([data.action_mask[rows], data.finals.action_mask[final][None]])
        else:
            legal = data.action_mask[after]
    truncations = data.truncated[rows].copy()
    truncations[-1] |= cut
    return {
        "observations": parts_of(data.observation_space, seen, legal),
        "actions": data.action_space.to_environment(data.action[rows]),
        "rewards": data.reward[rows],
        "terminations": data.terminated[rows],
        "truncations": truncations,
    }
