"""Recorded experience as one Parquet file: one row a step, and what it is in its own metadata.

Columns: ``episode`` (int32), ``player`` (int8), ``timestep`` (int32, from 0 for each player of an
episode), ``observation`` and ``action_mask`` (fixed-size binary: the array's bytes; the mask
packed, lowest bit first), ``action``, ``reward`` (float32), ``terminated``, ``truncated`` (bool)
and ``outcome`` (int8: 1 won, 0 drawn or none, -1 lost, the same in all of an episode's player's
rows); where the metadata lists ``agents``, ``agent`` (text): which of them decided. The metadata's
key ``poke`` holds JSON::

    {"schema": "poke.trajectories", "version": 1,
     "observation": {"dtype": "int8", "shape": [2859]},
     "action": {"kind": "discrete", "num_actions": 10} or {"kind": "continuous", "shape": [6]}
        or {"kind": "multi_discrete" or "multi_binary", "sizes": [3, 2]},
     ...whatever the writer says of where the data comes from}

Imported replays have choices that nobody knows, whose ``action`` is -1, and a column ``marks`` (fixed-size binary):
bits of the observation's bytes that are known to be as the player saw them, bits of those that only later lines of the
log told, and the same two of the mask's bits; four blocks of whole bytes, lowest bit first. A bit in neither block of
its kind is unknown: the byte is 0 or near what it was.

Several choices and continuous actions are fixed-size binary too, of int32 and float32. Observation and action may have
a key ``space`` besides, as `poke.spaces` writes it: what an observation of several parts is packed of, and the bounds
and the shape of actions as the environment takes them.

Files of other writers, and npz archives of the arrays of `Trajectories`, may have other numeric columns for these, lack
some, and name episodes as they like: see `poke.data.steps.assemble`.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poke.data.described import action_space, check_metadata
from poke.data.steps import (
    UNKNOWN_ACTION,
    DataError,
    Trajectories,
    assemble,
    check,
    mark_sizes,
)

__all__ = [
    "UNKNOWN_ACTION",
    "DataError",
    "Trajectories",
    "check",
    "count_rows",
    "join",
    "locate",
    "read",
    "read_metadata",
    "write",
]

SCHEMA = "poke.trajectories"
VERSION = 1
_PLAIN_COLUMNS = {
    "episode": pa.int32(),
    "player": pa.int8(),
    "timestep": pa.int32(),
    "reward": pa.float32(),
    "terminated": pa.bool_(),
    "truncated": pa.bool_(),
    "outcome": pa.int8(),
}


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
        return check_metadata(_parse_metadata(pq.read_schema(file).metadata or {}))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error
    except DataError as error:
        raise DataError(f"{file}: {error}") from error.__cause__


def count_rows(path: str | Path) -> int:
    """Return how many decisions a file holds that `read_metadata` takes, without reading them."""
    return int(pq.read_metadata(locate(path)).num_rows)


def read(path: str | Path) -> Trajectories:
    """Read and check a file of trajectories.

    Args:
        path: a Parquet file, an npz archive of the same arrays, or ``sample:NAME``.

    Raises:
        DataError: missing, unreadable, of another schema or version, empty, or with values that cannot be.
    """
    file = locate(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    if file.suffix == ".npz":
        return _read_npz(file)
    try:
        with pq.ParquetFile(file, memory_map=True) as parquet:
            trajectories = _from_parquet(parquet)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error.__cause__
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error
    return trajectories


def _read_npz(file: Path) -> Trajectories:
    """Read an archive of the arrays of `Trajectories`, with the metadata, if there is any, as a JSON string."""
    names = {f.name for f in fields(Trajectories)}
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in names & set(archive.files)}
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{file} is no readable npz file: {str(error).splitlines()[0]}") from error
    try:
        metadata = None
        if "metadata" in arrays:
            metadata = _parse_metadata({b"poke": str(arrays.pop("metadata")).encode()})
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
    whole = assemble(
        {
            f.name: getattr(trajectories, f.name)
            for f in fields(Trajectories)
            if f.name != "metadata"
        },
        trajectories.metadata,
    )
    _write_tables(Path(path), [_to_table(whole)], compression_level)


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
        num_episodes = 0
        for part in parts:
            t = read(part)
            for kind in ("observation", "action"):
                if t.metadata[kind] != metadata[kind]:
                    raise DataError(f"{part} holds another kind of {kind} than the whole")
            if t.metadata.get("agents") != metadata.get("agents"):
                raise DataError(f"{part} names other agents than the whole")
            yield _to_table(replace(t, episode=t.episode + num_episodes, metadata=metadata))
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
        numbers = _numbers(rest["episode"].chunk(0))
        while numbers[-1] >= end:
            cut = int(np.searchsorted(numbers, end))
            yield rest.slice(0, cut).combine_chunks()
            rest, numbers, end = rest.slice(cut), numbers[cut:], end + episodes
    if rest is not None:
        yield rest.combine_chunks()


def _numbers(column: pa.Array) -> np.ndarray:
    rows = slice(column.offset, column.offset + len(column))
    return np.frombuffer(column.buffers()[1], np.int32)[rows]


def _write_tables(path: Path, tables: Iterable[pa.Table], compression_level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
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
                writer.write_table(table, row_group_size=1 << 20)
            assert writer is not None
            writer.add_key_value_metadata(table.schema.metadata)
            writer.close()
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


def _from_parquet(parquet: pq.ParquetFile) -> Trajectories:
    schema = parquet.schema_arrow
    metadata = check_metadata(_parse_metadata(schema.metadata or {}))
    for name in ("observation", "action"):
        if name not in schema.names:
            raise DataError(f"it has no {name}")
    observation = metadata["observation"]
    columns: dict[str, Any] = {
        "observation": _bytes_column(
            parquet, "observation", observation["dtype"], observation["shape"]
        )
    }
    space = action_space(metadata["action"])
    if space.kind == "discrete":
        columns["action"] = _plain_column(parquet, "action")
    else:
        dtype = "float32" if space.continuous else "int32"
        columns["action"] = _bytes_column(parquet, "action", dtype, space.action_shape)
    if "action_mask" in schema.names:
        width = space.mask_size
        packed = _bytes_column(parquet, "action_mask", "uint8", [math.ceil(width / 8)])
        mask = np.unpackbits(packed, axis=1, count=width, bitorder="little")
        columns["action_mask"] = mask.view(np.bool_)
    if "marks" in schema.names:
        width = sum(mark_sizes(math.prod(observation["shape"]), space.mask_size))
        columns["marks"] = _bytes_column(parquet, "marks", "uint8", [width])
    if "agent" in schema.names and "agents" in metadata:
        columns["agent"] = _agent_column(parquet, metadata["agents"])
    for name in _PLAIN_COLUMNS.keys() & set(schema.names):
        text = name == "episode" and _is_text(schema.field(name).type)
        columns[name] = (_text_column if text else _plain_column)(parquet, name)
    return assemble(columns, metadata)


def _parse_metadata(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    try:
        block = json.loads(metadata[b"poke"])
        name, version = block["schema"], block["version"]
    except (KeyError, ValueError, TypeError) as error:
        raise DataError("it holds no trajectories: its metadata has no block of poke's") from error
    if name != SCHEMA:
        raise DataError(f"it holds {name}, not {SCHEMA}")
    if version != VERSION:
        raise DataError(f"its schema is version {version}; this poke reads version {VERSION}")
    return dict(block)


def _bytes_column(
    parquet: pq.ParquetFile, name: str, dtype: str, shape: Sequence[int]
) -> np.ndarray:
    """Return a fixed-size binary column as an array `[N, *shape]`."""
    width = np.dtype(dtype).itemsize * math.prod(shape)
    kind = parquet.schema_arrow.field(name).type
    if not pa.types.is_fixed_size_binary(kind) or kind.byte_width != width:
        raise DataError(f"column {name} is {kind}, not {width} bytes as its metadata says")
    rows = _column(parquet, name, np.dtype((np.void, width)))
    return rows.view(dtype).reshape(len(rows), *shape)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _text_column(parquet: pq.ParquetFile, name: str) -> np.ndarray:
    column = parquet.read(columns=[name]).column(0)
    _refuse_empty_cells(name, column)
    return np.asarray(column.to_pylist())


def _agent_column(parquet: pq.ParquetFile, agents: Sequence[str]) -> np.ndarray:
    """Return names as indices into the metadata's list, `[N] int16`."""
    if not _is_text(parquet.schema_arrow.field("agent").type):
        raise DataError("column agent is no text")
    column = parquet.read(columns=["agent"]).column(0)
    _refuse_empty_cells("agent", column)
    column = column.dictionary_encode()
    numbers = []
    for chunk in column.chunks:
        names = chunk.dictionary.to_pylist()
        if strange := [name for name in names if name not in agents]:
            raise DataError(f"agent {strange[0]} is none of the metadata's agents")
        known = np.array([agents.index(name) for name in names], np.int16)
        numbers.append(known[_numbers(chunk.indices)])
    return np.concatenate(numbers)


def _plain_column(parquet: pq.ParquetFile, name: str) -> np.ndarray:
    kind = parquet.schema_arrow.field(name).type
    if pa.types.is_boolean(kind):
        return _column(parquet, name, np.dtype(np.bool_))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"column {name} is {kind}, not numbers")
    letter = "f" if pa.types.is_floating(kind) else "i" if pa.types.is_signed_integer(kind) else "u"
    return _column(parquet, name, np.dtype(f"{letter}{kind.bit_width // 8}"))


def _column(parquet: pq.ParquetFile, name: str, dtype: np.dtype[Any]) -> np.ndarray:
    """Return a column of values of one size.

    A batch at a time, since Arrow's copy of a whole column would double what reading takes; from its buffers, since
    Arrow's own ways to numpy import pandas.
    """
    values = np.empty(parquet.metadata.num_rows, dtype)
    filled = 0
    for batch in parquet.iter_batches(batch_size=4096, columns=[name]):
        column = batch.column(0)
        _refuse_empty_cells(name, column)
        rows = slice(column.offset, column.offset + len(column))
        buffer = column.buffers()[1]
        if dtype == np.bool_:
            bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
            values[filled : filled + len(column)] = bits[rows]
        else:
            values[filled : filled + len(column)] = np.frombuffer(buffer, dtype)[rows]
        filled += len(column)
    return values


def _refuse_empty_cells(name: str, column: pa.Array | pa.ChunkedArray) -> None:
    if column.null_count:
        raise DataError(f"column {name} has empty cells")


def _to_table(t: Trajectories) -> pa.Table:
    columns = {name: pa.array(getattr(t, name), kind) for name, kind in _PLAIN_COLUMNS.items()}
    columns["observation"] = _to_bytes_column(t.observation)
    space = t.action_space
    if space.kind == "discrete":
        columns["action"] = pa.array(
            t.action, pa.int16() if space.sizes[0] <= 1 << 15 else pa.int32()
        )
    else:
        columns["action"] = _to_bytes_column(
            t.action.astype(np.float32 if space.continuous else np.int32)
        )
    if t.action_mask is not None:
        columns["action_mask"] = _to_bytes_column(
            np.packbits(t.action_mask, axis=1, bitorder="little")
        )
    if t.marks is not None:
        columns["marks"] = _to_bytes_column(t.marks)
    if t.agent is not None:
        names = pa.array(t.metadata["agents"], pa.string())
        columns["agent"] = pa.DictionaryArray.from_arrays(pa.array(t.agent), names).cast(
            pa.string()
        )
    block = {"schema": SCHEMA, "version": VERSION, **t.metadata}
    return pa.table(columns).replace_schema_metadata({"poke": json.dumps(block)})


def _to_bytes_column(array: np.ndarray) -> pa.Array:
    flat = np.ascontiguousarray(array)
    width = flat.nbytes // len(flat)
    return pa.Array.from_buffers(pa.binary(width), len(flat), [None, pa.py_buffer(flat)])


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
