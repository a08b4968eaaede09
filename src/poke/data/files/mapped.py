"""Recordings larger than memory: decoded once into plain arrays in a folder, and mapped from there.

The folder, named after the digest of the files' bytes, holds the arrays ``observation``, ``action_mask`` and ``marks``,
as far as there are such, and ``rest.npz`` with all else: columns of a few bytes a row, the final observations, what the
files say of themselves. It is written whole or not at all, under another name first. What was decoded is the same as
what `poke.data.files.several.read_all` returns, but lies in files, whose pages the system takes back when it needs
them.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from poke.data import trajectories
from poke.data.files.described import DataError, check_metadata
from poke.data.files.fingerprint import content_digest
from poke.data.files.several import concatenate, refuse_another_kind, refuse_other_masks
from poke.data.files.steps import COLUMNS, FINALS, Finals, Trajectories, arrays_of
from poke.data.observed import forget_filled

LARGE = ("observation", "action_mask", "marks")  # what is many bytes a row
_REST = "rest.npz"


def read_mapped(
    paths: Sequence[str], digest: str, *, cache: str | Path | None = None, filled: str = "keep"
) -> tuple[Trajectories, list[int], str]:
    """Read files of one kind as if they were one, without holding their observations in memory.

    Args:
        paths: Parquet files.
        digest: of their bytes, `poke.data.files.fingerprint.files_digest`.
        cache: where the decoded arrays are kept; None for a folder beside the first file.
        filled: as of `poke.data.demonstrations.Demonstrations`.

    Returns:
        All of them, whose large columns must not be written to; how many episodes each file holds; and
        `poke.data.files.fingerprint.content_digest` of what they hold.

    Raises:
        DataError: as of `poke.data.files.several.read_all`, or the arrays cannot be kept there.
    """
    first = trajectories.locate(paths[0])
    place = Path(f"{first}.cache") if cache is None else Path(cache)
    folder = place / (digest if filled == "keep" else f"{digest}-{filled}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            with FileLock(place / f".{folder.name}.lock"):  # several runs of a sweep begin at once
                if not folder.exists():
                    _decode(paths, folder, filled)
        return _opened(folder)
    except OSError as error:
        raise DataError(
            f"{place} cannot hold what is decoded of {first.name}: {error.strerror or error}; "
            "data.cache=DIR is another place"
        ) from error


def _decode(paths: Sequence[str], folder: Path, filled: str) -> None:
    """Write the folder: under another name, which what was killed here before left behind is removed from."""
    work = folder.with_name(f".{folder.name}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        arrays: dict[str, np.memmap] = {}
        whole, episodes = _read_into(paths, work, arrays)
        content = content_digest(whole)
        if filled == "zero" and whole.marks is not None:
            forget_filled(whole)
        about = {
            "metadata": whole.metadata,
            "episodes": episodes,
            "content": content,
            "large": {n: [a.dtype.str, list(a.shape)] for n, a in arrays.items()},
        }
        rest = {n: a for n, a in arrays_of(whole).items() if a is not None and n not in LARGE}
        with open(work / _REST, "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **rest)
            file.flush()
            os.fsync(file.fileno())
        for array in arrays.values():
            array.flush()
        os.rename(work, folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _read_into(
    paths: Sequence[str], folder: Path, arrays: dict[str, np.memmap]
) -> tuple[Trajectories, list[int]]:
    """Decode files one after another into arrays of their own in a folder, which are made for all of them at once."""
    abouts = [trajectories.read_metadata(path) for path in paths]
    for path, about in zip(paths[1:], abouts[1:], strict=True):
        refuse_another_kind(paths[0], abouts[0], path, about)
    counts = [trajectories.count_rows(path) for path in paths]
    ends = np.cumsum(counts).tolist()
    parts: list[Trajectories] = []
    for path, end in zip(paths, ends, strict=True):

        def empty(name: str, shape: tuple[int, ...], dtype: Any, *, end: int = end) -> np.ndarray:
            if name not in LARGE:
                return np.empty(shape, dtype)
            if name not in arrays:
                arrays[name] = np.memmap(folder / name, dtype, "w+", shape=(ends[-1], *shape[1:]))
            return np.asarray(arrays[name][end - shape[0] : end])

        parts.append(trajectories.read(path, empty=empty))
        refuse_other_masks(paths[0], parts[0], path, parts[-1])
        if (parts[0].marks is None) != (parts[-1].marks is None):
            raise DataError("data.in_memory=false takes several files that all have marks, or none")
    held = {name: np.asarray(array) for name, array in arrays.items()}
    return concatenate(parts, held=held), [part.num_episodes for part in parts]


def _opened(folder: Path) -> tuple[Trajectories, list[int], str]:
    with np.load(folder / _REST, allow_pickle=False) as archive:
        rest = {name: archive[name] for name in archive.files}
    about: Mapping[str, Any] = json.loads(str(rest.pop("about")))
    for name, (dtype, shape) in about["large"].items():
        array = np.memmap(folder / name, dtype, "r", shape=tuple(shape))
        # Rows are read in any order: what lies around them would be read for nothing.
        array._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]
        rest[name] = array.view(np.ndarray)
    finals = None
    if FINALS["rows"] in rest:
        finals = Finals(**{a: rest.get(name) for a, name in FINALS.items()})  # type: ignore[arg-type]
    columns: dict[str, Any] = {name: rest.get(name) for name in COLUMNS}
    # Checked when it was decoded.
    data = Trajectories(**columns, metadata=check_metadata(about["metadata"]), finals=finals)
    return data, list(about["episodes"]), str(about["content"])
