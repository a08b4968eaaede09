"""Recorded experience as an Arrow table: a file's columns, read and written; see `poke.data.trajectories`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poke.data.files.assembling import assemble
from poke.data.files.described import DataError, action_space, check_metadata
from poke.data.files.steps import FINALS, Trajectories, mark_sizes

SCHEMA = "poke.trajectories"
VERSION = 2
_BYTES_AT_ONCE = 4 << 20  # of a column that are decoded together
_PLAIN_COLUMNS = {
    "episode": pa.int32(),
    "player": pa.int8(),
    "timestep": pa.int32(),
    "reward": pa.float32(),
    "terminated": pa.bool_(),
    "truncated": pa.bool_(),
    "outcome": pa.int8(),
}


# Makes an array for a column, by its name, shape and dtype.
Empty = Callable[[str, tuple[int, ...], Any], np.ndarray]


def in_memory(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array of that shape: what `from_parquet` decodes into where nothing else is asked for."""
    return np.empty(shape, dtype)


def from_parquet(parquet: pq.ParquetFile, empty: Empty = in_memory) -> Trajectories:
    """Return what a file holds, checked.

    Args:
        parquet: the file.
        empty: makes the arrays that observations, action masks and marks are decoded into, some rows at a time.

    Raises:
        DataError: it holds no trajectories, or values that cannot be.
    """
    schema = parquet.schema_arrow
    metadata = check_metadata(parse_metadata(schema.metadata or {}))
    for name in ("observation", "action"):
        if name not in schema.names:
            raise DataError(f"it has no {name}")
    observation = metadata["observation"]
    columns: dict[str, Any] = {
        "observation": _bytes_column(
            parquet, "observation", observation["dtype"], observation["shape"], empty
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
        columns["action_mask"] = _mask_column(parquet, width, empty)
    if "marks" in schema.names:
        width = sum(mark_sizes(math.prod(observation["shape"]), space.mask_size))
        columns["marks"] = _bytes_column(parquet, "marks", "uint8", [width], empty)
    if "agent" in schema.names and "agents" in metadata:
        columns["agent"] = _agent_column(parquet, metadata["agents"])
    if "final_observation" in schema.names:
        columns |= _finals(parquet, observation, space.mask_size)
    for name in (_PLAIN_COLUMNS.keys() | {"weight"}) & set(schema.names):
        text = name == "episode" and _is_text(schema.field(name).type)
        columns[name] = (_text_column if text else _plain_column)(parquet, name)
    return assemble(columns, metadata)


def _finals(
    parquet: pq.ParquetFile, observation: Mapping[str, Any], mask_size: int
) -> dict[str, np.ndarray]:
    """Return what columns of mostly empty cells hold of the ends of episodes, as `assemble` takes it."""
    rows, cells = _filled(parquet, "final_observation")
    dtype, shape = observation["dtype"], observation["shape"]
    if any(len(cell) != np.dtype(dtype).itemsize * math.prod(shape) for cell in cells):
        raise DataError("final_observation has another size than observation")
    found = {
        FINALS["rows"]: rows,
        # A bytearray, so that the array may be written to.
        FINALS["observation"]: np.frombuffer(bytearray().join(cells), dtype).reshape(-1, *shape),
    }
    if "final_action_mask" in parquet.schema_arrow.names:
        same, masks = _filled(parquet, "final_action_mask")
        width = math.ceil(mask_size / 8)
        if not np.array_equal(same, rows) or any(len(mask) != width for mask in masks):
            raise DataError("final_action_mask is not of the rows of final_observation")
        packed = np.frombuffer(b"".join(masks), np.uint8).reshape(len(masks), width)
        bits = np.unpackbits(packed, axis=1, count=mask_size, bitorder="little")
        found[FINALS["action_mask"]] = bits.view(np.bool_)
    return found


def _filled(parquet: pq.ParquetFile, name: str) -> tuple[np.ndarray, list[bytes]]:
    """Return the cells of a column that are not empty, and their rows."""
    if not pa.types.is_binary(parquet.schema_arrow.field(name).type):
        raise DataError(f"column {name} is {parquet.schema_arrow.field(name).type}, not binary")
    rows: list[int] = []
    cells: list[bytes] = []
    first = 0
    for batch in parquet.iter_batches(batch_size=4096, columns=[name]):
        column = batch.column(0)
        if column.null_count < len(column):
            for row, cell in enumerate(column):
                if cell.is_valid:
                    rows.append(first + row)
                    cells.append(cell.as_py())
        first += len(column)
    return np.array(rows, np.int64), cells


def parse_metadata(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the JSON block of a schema's metadata.

    Raises:
        DataError: there is none, or one of another schema or a later version.
    """
    try:
        block = json.loads(metadata[b"poke"])
        name, version = block["schema"], block["version"]
    except (KeyError, ValueError, TypeError) as error:
        raise DataError("it holds no trajectories: its metadata has no block of poke's") from error
    if name != SCHEMA:
        raise DataError(f"it holds {name}, not {SCHEMA}")
    if version not in range(1, VERSION + 1):
        raise DataError(f"its schema is version {version}; this poke reads versions 1 to {VERSION}")
    return dict(block)


def _bytes_column(
    parquet: pq.ParquetFile,
    name: str,
    dtype: str,
    shape: Sequence[int],
    empty: Empty = in_memory,
) -> np.ndarray:
    """Return a fixed-size binary column as an array `[N, *shape]`."""
    width = np.dtype(dtype).itemsize * math.prod(shape)
    _refuse_width(parquet, name, width)
    values = empty(name, (parquet.metadata.num_rows, *shape), dtype)
    flat = values.reshape(len(values), math.prod(shape)).view(np.uint8)
    for rows, some in _pieces(parquet, name, np.dtype((np.uint8, (width,)))):
        flat[rows] = some
    return values


def _mask_column(parquet: pq.ParquetFile, width: int, empty: Empty) -> np.ndarray:
    """Return action masks, `[N, width] bool`, of the bits that a file has."""
    packed = math.ceil(width / 8)
    _refuse_width(parquet, "action_mask", packed)
    mask = empty("action_mask", (parquet.metadata.num_rows, width), np.bool_)
    for rows, some in _pieces(parquet, "action_mask", np.dtype((np.uint8, (packed,)))):
        mask[rows] = np.unpackbits(some, axis=1, count=width, bitorder="little")
    return mask


def _refuse_width(parquet: pq.ParquetFile, name: str, width: int) -> None:
    kind = parquet.schema_arrow.field(name).type
    if not pa.types.is_fixed_size_binary(kind) or kind.byte_width != width:
        raise DataError(f"column {name} is {kind}, not {width} bytes as its metadata says")


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
        numbers.append(known[numbers_of(chunk.indices)])
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
    """Return a column of values of one size."""
    values = np.empty(parquet.metadata.num_rows, dtype)
    for rows, some in _pieces(parquet, name, dtype):
        values[rows] = some
    return values


def _pieces(
    parquet: pq.ParquetFile, name: str, dtype: np.dtype[Any]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a column of values of one size, and which rows they are.

    A batch at a time, since Arrow's copy of a whole column would double what reading takes; from its buffers, since
    Arrow's own ways to numpy import pandas.
    """
    first = 0
    count = max(1, min(4096, _BYTES_AT_ONCE // max(1, dtype.itemsize)))
    for batch in parquet.iter_batches(batch_size=count, columns=[name]):
        column = batch.column(0)
        _refuse_empty_cells(name, column)
        rows = slice(column.offset, column.offset + len(column))
        buffer = column.buffers()[1]
        if dtype == np.bool_:
            values = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
        else:
            values = np.frombuffer(buffer, dtype)
        yield slice(first, first + len(column)), values[rows]
        first += len(column)


def _refuse_empty_cells(name: str, column: pa.Array | pa.ChunkedArray) -> None:
    if column.null_count:
        raise DataError(f"column {name} has empty cells")


def to_table(t: Trajectories) -> pa.Table:
    """Return trajectories as a file holds them, metadata included."""
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
    if t.weight is not None:
        columns["weight"] = pa.array(t.weight, pa.float32())
    if t.agent is not None:
        names = pa.array(t.metadata["agents"], pa.string())
        columns["agent"] = pa.DictionaryArray.from_arrays(pa.array(t.agent), names).cast(
            pa.string()
        )
    # Of every file, empty where nothing was cut off: parts that are joined have the same columns.
    names = ["observation"] + ["action_mask"] * (t.action_mask is not None)
    for name in names:
        columns[FINALS[name]] = _mostly_empty(t, name)
    block = {**t.metadata, "schema": SCHEMA, "version": VERSION}
    return pa.table(columns).replace_schema_metadata({"poke": json.dumps(block)})


def _mostly_empty(t: Trajectories, name: str) -> pa.Array:
    """Return what `t.finals` has of that name as a column of bytes that is empty elsewhere."""
    if t.finals is None:
        return pa.nulls(len(t), pa.binary())
    array = getattr(t.finals, name)
    if name == "action_mask":
        array = np.packbits(array, axis=1, bitorder="little")
    cells = np.full(len(t), None, object)
    cells[t.finals.rows] = [row.tobytes() for row in array]
    return pa.array(cells, pa.binary())


def _to_bytes_column(array: np.ndarray) -> pa.Array:
    flat = np.ascontiguousarray(array)
    width = flat.nbytes // len(flat)
    return pa.Array.from_buffers(pa.binary(width), len(flat), [None, pa.py_buffer(flat)])


def numbers_of(column: pa.Array) -> np.ndarray:
    """Return a column of int32, without a copy."""
    rows = slice(column.offset, column.offset + len(column))
    return np.frombuffer(column.buffers()[1], np.int32)[rows]
