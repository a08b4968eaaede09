"""Turn the text of metrics files into numbers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from poke.comparison.reading.history import EMPTY, History
from poke.comparison.reading.incremental import Text

if TYPE_CHECKING:
    import pyarrow as pa

STEP_NAMES = ("step", "global_step", "time/total_timesteps", "timesteps_total", "iteration")
TIME_NAMES = ("time", "wall_time", "timestamp")
NEWLINE = ord("\n")
BLOCK_BYTES = 1 << 20  # what one thread parses at a time


def parse(texts: Sequence[Text]) -> list[History]:
    """Parse CSV texts; those of equal columns go through the parser together, which saves most of its cost."""
    parsed: dict[int, History] = {}
    by_header: dict[bytes, list[int]] = {}
    for place, text in enumerate(texts):
        by_header.setdefault(text.header, []).append(place)
    for header, places in by_header.items():
        columns = _Columns(header)
        together = [texts[place] for place in places]
        tables = _parse_together(columns, together) or [
            _parse_alone(columns, text) for text in together
        ]
        parsed |= dict(zip(places, tables, strict=True))
    return [parsed[place] for place in range(len(texts))]


class _Columns:
    """The columns of a header: which holds the step, which the time, which are read.

    Args:
        header: the header line.
    """

    def __init__(self, header: bytes) -> None:
        text = header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").rstrip("\r")
        self.names: list[str] = next(csv.reader([text]), [])
        self.step = next(
            (self.names.index(name) for name in STEP_NAMES if name in self.names), None
        )
        self.time = next(
            (self.names.index(name) for name in TIME_NAMES if name in self.names), None
        )
        self.metrics: dict[str, int] = {}
        self.problems: list[str] = []
        for place, name in enumerate(self.names):
            if place in (self.step, self.time):
                continue
            if name in self.metrics:
                self.problems.append(f"has two columns named {name}; the first is read")
            self.metrics.setdefault(name, place)

    def rows(self, cells: Mapping[int, np.ndarray], num_rows: int) -> np.ndarray:
        """Return the matrix of ``History`` from the cells of each column; a metric without cells is left out."""
        metrics = [place for place in self.metrics.values() if place in cells]
        matrix = np.empty((2 + len(metrics), num_rows))
        matrix[0] = np.arange(num_rows) if self.step is None else cells.get(self.step, np.nan)
        matrix[1] = np.nan if self.time is None else cells.get(self.time, np.nan)
        for row, place in enumerate(metrics, start=2):
            matrix[row] = cells[place]
        return matrix


def _parse_together(columns: _Columns, texts: Sequence[Text]) -> list[History] | None:
    """Return the rows of texts whose cells are all numbers, None where some are not or a line is torn."""
    import pyarrow as pa

    body = b"".join(text.body for text in texts)
    if not body or not columns.names:
        return None
    try:
        table = _read_csv(body, _number_types(columns), BLOCK_BYTES)
    except pa.ArrowInvalid:
        return None
    lengths = [_count_lines(text.body) for text in texts]
    if table.num_rows != sum(lengths):
        return None
    cells = {
        place: _to_numpy(column, is_time=place == columns.time)
        for place, column in enumerate(table.columns)
    }
    matrix = columns.rows(cells, table.num_rows)
    parsed: list[History] = []
    start = 0
    for text, length in zip(texts, lengths, strict=True):
        rows = matrix[:, start : start + length]
        if columns.step is None:
            rows[0] += text.first_row - start
        parsed.append(History(list(columns.metrics), rows, columns.problems))
        start += length
    return parsed


def _parse_alone(columns: _Columns, text: Text) -> History:
    """Return the rows of a text in which some cells may be no numbers and some lines torn."""
    import pyarrow as pa

    if not bytes(text.body).strip() or not columns.names:
        return History(
            list(columns.metrics), np.empty((2 + len(columns.metrics), 0)), columns.problems
        )
    torn: list[Any] = []

    def skip(line: Any) -> str:
        torn.append(line)
        return "skip"

    problems = list(columns.problems)
    types = dict.fromkeys(_number_types(columns), pa.binary())
    body = bytes(text.body).decode("utf-8", "replace").encode()  # arrow hands `skip` a line as text
    try:
        table = _read_csv(body, types, len(body) + 1, skip)
    except pa.ArrowInvalid:
        return History([], np.empty((2, 0)), [*problems, "is no CSV"])
    cells: dict[int, np.ndarray] = {}
    for place, column in enumerate(table.columns):
        values, bad = _to_numbers(column.to_pylist(), is_time=place == columns.time)
        if values is not None:
            cells[place] = values
        if bad:
            problems.append(f"has {bad} cells in {columns.names[place]} that are no numbers")
    if torn:
        problems.append(f"has {len(torn)} lines with a wrong number of cells, which are skipped")
    matrix = columns.rows(cells, table.num_rows)
    if columns.step is None:
        matrix[0] += text.first_row
    return History(
        [name for name, place in columns.metrics.items() if place in cells], matrix, problems
    )


def _number_types(columns: _Columns) -> dict[str, Any]:
    import pyarrow as pa

    types = {str(place): pa.float64() for place in range(len(columns.names))}
    if columns.time is not None:
        types[str(columns.time)] = pa.timestamp("us", "UTC")
    return types


def _read_csv(
    body: bytes, types: dict[str, Any], block_bytes: int, skip: Callable[[Any], str] | None = None
) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        pa.py_buffer(body),
        arrow_csv.ReadOptions(block_size=block_bytes, column_names=list(types)),
        arrow_csv.ParseOptions(newlines_in_values=skip is not None, invalid_row_handler=skip),
        arrow_csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, check_utf8=False
        ),
    )


def _to_numpy(column: Any, is_time: bool) -> np.ndarray:
    """Return a column's numbers straight from its buffers: arrow's own conversion would import pandas."""
    parts = []
    for chunk in column.chunks:
        valid, data = chunk.buffers()
        length = len(chunk)
        if is_time:
            values = np.frombuffer(data, np.int64, length) / 1e6
        else:
            values = np.frombuffer(data, np.float64, length)
        if chunk.null_count:
            bits = np.unpackbits(np.frombuffer(valid, np.uint8), count=length, bitorder="little")
            values = np.where(bits, values, EMPTY)
        parts.append(values)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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


def _count_lines(body: bytes | memoryview) -> int:
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == NEWLINE))
