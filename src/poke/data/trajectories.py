"""Recorded experience as one Parquet file: one row a step, and what it is in its own metadata.

Columns: ``episode`` (int32), ``player`` (int8), ``timestep`` (int32, from 0 for each player of an
episode), ``observation`` and ``action_mask`` (fixed-size binary: the array's bytes; the mask
packed, lowest bit first), ``action``, ``reward`` (float32), ``terminated``, ``truncated`` (bool)
and ``outcome`` (int8: 1 won, 0 drawn or none, -1 lost, the same in all of an episode's player's
rows); ``final_observation`` and ``final_action_mask`` (binary), filled in the last row of an episode
that was cut off, with what was seen then, and empty elsewhere; where the metadata lists ``agents``,
``agent`` (text): which of them decided; and perhaps ``weight`` (float32): how often the episode is
served, relative to others, the same in all of an episode's player's rows. The metadata's
key ``poke`` holds JSON::

    {"schema": "poke.trajectories", "version": 2,
     "observation": {"dtype": "int8", "shape": [2859]},
     "action": {"kind": "discrete", "num_actions": 10} or {"kind": "continuous", "shape": [6]}
        or {"kind": "multi_discrete" or "multi_binary", "sizes": [3, 2]},
     ...whatever the writer says of where the data comes from}

Version 1 had no finals: of an episode that was cut off, what its last action led to is not known.

Imported replays have choices that nobody knows, whose ``action`` is -1, and a column ``marks`` (fixed-size binary):
bits of the observation's bytes that are known to be as the player saw them, bits of those that only later lines of the
log told, and the same two of the mask's bits; four blocks of whole bytes, lowest bit first. A bit in neither block of
its kind is unknown: the byte is 0 or near what it was.

Several choices and continuous actions are fixed-size binary too, of int32 and float32. Observation and action may have
a key ``space`` besides, as `poke.spaces` writes it: what an observation of several parts is packed of, and the bounds
and the shape of actions as the environment takes them.

Files of other writers, and npz archives of the arrays of `Trajectories`, may have other numeric columns for these, lack
some, and name episodes as they like: see `poke.data.files.assembling`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poke.data.files.assembling import assemble
from poke.data.files.checking import check
from poke.data.files.described import DataError, check_metadata
from poke.data.files.steps import COLUMNS, FINALS, UNKNOWN_ACTION, Finals, Trajectories, arrays_of
from poke.data.files.table import (
    Empty,
    from_parquet,
    in_memory,
    numbers_of,
    parse_metadata,
    to_table,
)

__all__ = [
    "UNKNOWN_ACTION",
    "DataError",
    "Finals",
    "Trajectories",
    "check",
    "count_rows",
    "join",
    "lacks_finals",
    "locate",
    "read",
    "read_metadata",
    "write",
]


def locate(path: str | Path) -> Path:
    """Return the file that a data path names: itself, or for ``sample:NAME`` a sample shipped with poke.

    Raises:
        DataError: no sample of that name.
    """
    kind, _, name = str(path).partition(":")
    if kind != "sample":
        return Path(path)
    folder = Path(str(resources.files("poke.data"))) / "samples"
    found = folder / f"{name}.parquet"
    if not found.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.parquet"))) or "none"
        raise DataError(f"no sample {name} is shipped with poke (there are: {known})")
    return found


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read what a file says of itself, and none of its rows.

    Args:
        path: a Parquet file, or ``sample:NAME``.

    Raises:
        DataError: missing, unreadable, or of another schema or version.
    """
    file = locate(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    try:
        return check_metadata(parse_metadata(pq.read_schema(file).metadata or {}))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error
    except DataError as error:
        raise DataError(f"{file}: {error}") from error.__cause__


def count_rows(path: str | Path) -> int:
    """Return how many decisions a file holds that `read_metadata` takes, without reading them."""
    return int(pq.read_metadata(locate(path)).num_rows)


def lacks_finals(path: str | Path) -> bool:
    """Whether a file that `read_metadata` takes has episodes that were cut off, and holds of none what was seen last.

    Told from what Parquet says of its columns; no rows are read.
    """
    about = pq.read_metadata(locate(path))
    names = about.schema.to_arrow_schema().names
    if "truncated" not in names:
        return False
    columns = [
        [about.row_group(i).column(names.index(n)).statistics for i in range(about.num_row_groups)]
        for n in ("truncated", "final_observation")
        if n in names
    ]
    cut = any(known is not None and known.has_min_max and known.max for known in columns[0])
    kept = len(columns) > 1 and any(k is None or k.num_values for k in columns[1])
    return cut and not kept


def read(path: str | Path, *, empty: Empty | None = None) -> Trajectories:
    """Read and check a file of trajectories.

    Args:
        path: a Parquet file, an npz archive of the same arrays, or ``sample:NAME``.
        empty: makes the arrays that columns of Parquet are decoded into, by name, shape and dtype; None: in memory.

    Raises:
        DataError: missing, unreadable, of another schema or version, empty, or with values that cannot be.
    """
    file = locate(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    if file.suffix == ".npz":
        if empty is not None:
            raise DataError(f"{file} is read into memory alone, as data.in_memory=true does")
        return _read_npz(file)
    try:
        with pq.ParquetFile(file, memory_map=True) as parquet:
            trajectories = from_parquet(parquet, empty or in_memory)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error.__cause__
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error
    return trajectories


def _read_npz(file: Path) -> Trajectories:
    """Read an archive of the arrays of `Trajectories`, with the metadata, if there is any, as a JSON string."""
    names = {*COLUMNS, *FINALS.values(), "metadata"}
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in names & set(archive.files)}
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{file} is no readable npz file: {str(error).splitlines()[0]}") from error
    try:
        metadata = None
        if "metadata" in arrays:
            metadata = parse_metadata({b"poke": str(arrays.pop("metadata")).encode()})
        return assemble(arrays, metadata)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error.__cause__


def write(path: str | Path, trajectories: Trajectories, *, compression_level: int = 9) -> None:
    """Check trajectories and write them: at the path is the whole file, or what was there before.

    Args:
        path: its folder is made where it is missing.
        trajectories: what to write.
        compression_level: of zstd, 1 to 22.

    Raises:
        DataError: values that `read` would refuse.
    """
    whole = assemble(arrays_of(trajectories), trajectories.metadata)
    _write_tables(Path(path), [to_table(whole)], compression_level)


def join(
    path: str | Path,
    parts: Sequence[str | Path],
    metadata: Mapping[str, Any],
    *,
    compression_level: int = 9,
    episodes_a_group: int | None = None,
) -> None:
    """Join recordings of one kind into one file, a part in memory at a time.

    Args:
        path: as of `write`; it may be one of the parts.
        parts: files of trajectories; their episodes are numbered on in this order.
        metadata: of the whole, as of `Trajectories`.
        compression_level: of zstd, 1 to 22.
        episodes_a_group: how many are compressed together, wherever parts end: the file does not show these. None
            leaves the parts' own rows together.

    Raises:
        DataError: no parts, one that `read` refuses, or parts that differ in kind.
    """
    if not parts:
        raise DataError("there are no parts to join")
    metadata = check_metadata(metadata)

    def tables() -> Iterator[pa.Table]:
        num_episodes, weighted = 0, False
        for part in parts:
            t = read(part)
            for kind in ("observation", "action"):
                if t.metadata[kind] != metadata[kind]:
                    raise DataError(f"{part} holds another kind of {kind} than the whole")
            if t.metadata.get("agents") != metadata.get("agents"):
                raise DataError(f"{part} names other agents than the whole")
            weighted = weighted if num_episodes else t.weight is not None
            if (t.weight is not None) != weighted:
                raise DataError(f"{part} and {parts[0]}: one has episode weights, the other none")
            yield to_table(replace(t, episode=t.episode + num_episodes, metadata=metadata))
            num_episodes += t.num_episodes

    regrouped = tables() if episodes_a_group is None else _regrouped(tables(), episodes_a_group)
    _write_tables(Path(path), regrouped, compression_level)


def _regrouped(tables: Iterable[pa.Table], episodes: int) -> Iterator[pa.Table]:
    """Yield the rows again in tables of so many episodes, numbered from 0 on."""
    rest: pa.Table | None = None
    end = episodes  # the first episode that is not of the next table
    for table in tables:
        rest = table if rest is None else pa.concat_tables([rest, table])
        rest = rest.combine_chunks()
        numbers = numbers_of(rest["episode"].chunk(0))
        while numbers[-1] >= end:
            cut = int(np.searchsorted(numbers, end))
            yield rest.slice(0, cut).combine_chunks()
            rest, numbers, end = rest.slice(cut), numbers[cut:], end + episodes
    if rest is not None:
        yield rest.combine_chunks()


def _write_tables(path: Path, tables: Iterable[pa.Table], compression_level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.ExitStack() as opened:  # closes what was begun, before its file is
                writer = None
                for table in tables:
                    if writer is None:
                        writer = pq.ParquetWriter(
                            file,
                            table.schema,
                            compression="zstd",
                            compression_level=compression_level,
                            use_dictionary=["agent"],
                            store_schema=False,  # a second copy of the metadata
                            # A page is compressed alone, and a battle repeats itself over many rows.
                            data_page_size=1 << 26,
                        )
                        opened.callback(writer.close)
                    writer.write_table(table, row_group_size=1 << 20)
                assert writer is not None
                writer.add_key_value_metadata(table.schema.metadata)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} is no readable Parquet file: {str(error).splitlines()[0]}")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
