"""Turn the text of a metrics file into one float64 matrix.

An empty cell and a cell that says ``nan`` differ: the first was never measured, the second is a run that broke. Both are
NaN in float64, so an empty cell carries a payload of its own (as R's NA does) which survives copies and files.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

EMPTY_BITS = np.uint64(0x7FF8_0000_0000_07A2)
EMPTY: float = np.array([EMPTY_BITS]).view(np.float64)[0]

STEP_NAMES = ("step", "global_step", "time/total_timesteps", "timesteps_total", "iteration")
TIME_NAMES = ("time", "wall_time", "timestamp")


def is_empty(values: np.ndarray) -> np.ndarray:
    """Return where a float64 array holds ``EMPTY``."""
    return np.ascontiguousarray(values).view(np.uint64) == EMPTY_BITS


def parse_rows(
    header: bytes, body: bytes, first_row: int = 0
) -> tuple[list[str], np.ndarray, list[str]]:
    """Parse CSV text.

    Args:
        header: the line that names the columns.
        body: whole lines.
        first_row: number of rows before ``body``; the rows of a file without a step column are numbered.

    Returns:
        The names of the metrics, a matrix ``[2 + num_names, num_rows] float64`` of steps, times (seconds since
        1970) and metrics, and one line for each thing that could not be read.
    """
    text = header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").rstrip("\r")
    columns = next(csv.reader([text]), [])
    step = next((columns.index(name) for name in STEP_NAMES if name in columns), None)
    time = next((columns.index(name) for name in TIME_NAMES if name in columns), None)
    cells, problems = _read_columns(body, columns, time)
    num_rows = len(cells[0]) if cells else 0
    kept: dict[str, np.ndarray] = {}
    for position, name in enumerate(columns):
        values = cells[position] if cells else np.empty(0)
        if position in (step, time) or values is None:
            continue
        if name in kept:
            problems.append(f"has two columns named {name}; the first is read")
        else:
            kept[name] = values
    matrix = np.empty((2 + len(kept), num_rows))
    matrix[0] = np.arange(first_row, first_row + num_rows)
    matrix[1] = np.nan
    for row, index in ((0, step), (1, time)):
        values = cells[index] if cells and index is not None else None
        if values is not None:
            matrix[row] = values
    for row, values in enumerate(kept.values(), start=2):
        matrix[row] = values
    return list(kept), matrix, problems


def _read_columns(
    body: bytes, columns: Sequence[str], time: int | None
) -> tuple[list[np.ndarray | None], list[str]]:
    """Return one float64 array a column (None for text) and what could not be read."""
    if not body.strip():
        return [], []
    import pyarrow as pa

    torn: list[Any] = []
    problems: list[str] = []
    numbers = {str(index): pa.float64() for index in range(len(columns))}
    if time is not None:
        numbers[str(time)] = pa.timestamp("us", "UTC")
    try:
        table = _read_csv(body, len(columns), numbers, torn)
        cells: list[np.ndarray | None] = [_to_numpy(column) for column in table.columns]
    except pa.ArrowInvalid:  # some cell is not of its column's type: find out which
        torn.clear()
        table = _read_csv(body, len(columns), dict.fromkeys(numbers, pa.binary()), torn)
        cells = []
        for index, column in enumerate(table.columns):
            values, bad = _to_numbers(column.to_pylist(), is_time=index == time)
            cells.append(values)
            if bad:
                problems.append(f"has {bad} cells in {columns[index]} that are no numbers")
    if torn:
        problems.append(f"has {len(torn)} lines with the wrong number of cells; they are skipped")
    return cells, problems


def _read_csv(body: bytes, num_columns: int, types: dict[str, Any], torn: list[Any]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    def skip(row: Any) -> str:
        torn.append(row.number)
        return "skip"

    return arrow_csv.read_csv(
        pa.BufferReader(body),
        # one block and one thread: a column that starts empty keeps its type, and files are read side by side
        arrow_csv.ReadOptions(
            use_threads=False,
            block_size=len(body) + 1,
            column_names=[str(index) for index in range(num_columns)],
        ),
        arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        arrow_csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, check_utf8=False
        ),
    )


def _to_numpy(column: Any) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        stamps = column.to_numpy()
        seconds = stamps.astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(stamps), np.nan, seconds)
    values = column.to_numpy()
    if column.null_count:
        values = np.where(column.is_null().to_numpy(), EMPTY, values)
    return values


def _to_numbers(cells: Sequence[bytes | None], is_time: bool) -> tuple[np.ndarray | None, int]:
    """Return the cells as numbers and how many are none; None in their place when nothing is a number."""
    values = np.empty(len(cells))
    bad = 0
    for row, cell in enumerate(cells):
        try:
            values[row] = EMPTY if cell is None else _seconds(cell) if is_time else float(cell)
        except ValueError:
            values[row] = EMPTY
            bad += 1
    filled = sum(cell is not None for cell in cells)
    if filled and bad == filled:
        return None, 0
    return values, bad


def _seconds(cell: bytes) -> float:
    text = cell.decode("ascii", "replace")
    try:
        return float(text)
    except ValueError:
        stamp = datetime.fromisoformat(text)
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
