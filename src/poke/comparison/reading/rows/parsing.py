"""Turn the text of metrics files into numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from poke.comparison.reading.rows.dialect import STEP_NAMES, fill_rows, split_header
from poke.comparison.reading.rows.history import EMPTY, History, is_empty
from poke.comparison.reading.rows.incremental import Text

if TYPE_CHECKING:
    import pyarrow as pa

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
    """The columns of a header: which may hold the step, which the time, which are read.

    Args:
        header: the header line.
    """

    def __init__(self, header: bytes) -> None:
        self.names, self.separator = split_header(header)
        self.steps = [self.names.index(name) for name in STEP_NAMES if name in self.names]
        self.time = next(
            (self.names.index(name) for name in TIME_NAMES if name in self.names), None
        )
        self.metrics: dict[str, int] = {}
        self.problems: list[str] = []
        for place, name in enumerate(self.names):
            if place == self.time or not name:
                continue
            if name in self.metrics:
                self.problems.append(f"has two columns named {name}; the first is read")
            self.metrics.setdefault(name, place)

    def history(
        self, cells: Mapping[int, np.ndarray], num_rows: int, first_row: int, problems: list[str]
    ) -> History:
        """Return the rows from the cells of each column; a metric without cells is left out.

        The first column of steps that holds any is the one: another program may name one and leave
        it empty. Where there is none, rows are numbered.
        """
        step = next((one for one in self.steps if one in cells and _has_any(cells[one])), None)
        names = {
            name: place for name, place in self.metrics.items() if place in cells and place != step
        }
        matrix = np.empty((2 + len(names), num_rows))
        matrix[0] = np.arange(first_row, first_row + num_rows) if step is None else cells[step]
        matrix[1] = np.nan if self.time is None else cells.get(self.time, np.nan)
        for row, place in enumerate(names.values(), start=2):
            matrix[row] = cells[place]
        return History(list(names), matrix, problems)


def _parse_together(columns: _Columns, texts: Sequence[Text]) -> list[History] | None:
    """Return the rows of texts whose cells are all numbers, None where some are not or a line is torn."""
    import pyarrow as pa

    body = b"".join(text.body for text in texts)
    if not body:
        return None
    try:
        table = _read_csv(body, _number_types(columns), columns.separator, whole=False)
    except pa.ArrowInvalid:
        return None
    lengths = [_count_lines(text.body) for text in texts]
    if table.num_rows != sum(lengths):
        return None
    # which column holds the steps is decided for each by itself where one is not full
    if any(table.column(place).null_count for place in columns.steps):
        return None
    cells = _numbers(columns, table)
    parsed: list[History] = []
    start = 0
    for text, length in zip(texts, lengths, strict=True):
        mine = {place: column[start : start + length] for place, column in cells.items()}
        parsed.append(columns.history(mine, length, text.first_row, columns.problems))
        start += length
    return parsed


def _parse_alone(columns: _Columns, text: Text) -> History:
    """Return the rows of a text in which some lines may be short or torn and some cells no numbers."""
    import pyarrow as pa

    body = fill_rows(bytes(text.body), len(columns.names), columns.separator)
    if not body.strip():
        empty = dict.fromkeys(range(len(columns.names)), np.empty(0))
        return columns.history(empty, 0, text.first_row, columns.problems)
    try:
        table = _read_csv(body, _number_types(columns), columns.separator)
    except pa.ArrowInvalid:
        return _parse_words(columns, text, body)
    return columns.history(
        _numbers(columns, table), table.num_rows, text.first_row, columns.problems
    )


def _parse_words(columns: _Columns, text: Text, body: bytes) -> History:
    """Return the rows of a text cell by cell; a column without a number is left out."""
    import pyarrow as pa

    torn: list[Any] = []

    def skip(line: Any) -> str:
        torn.append(line)
        return "skip"

    problems = list(columns.problems)
    types = dict.fromkeys(_number_types(columns), pa.binary())
    body = body.decode("utf-8", "replace").encode()  # arrow hands `skip` a line as text
    try:
        table = _read_csv(body, types, columns.separator, skip)
    except pa.ArrowInvalid:
        return History([], np.empty((2, 0)), [*problems, "is no CSV"])
    point = b"." if columns.separator == "," else b","  # of decimals, as spreadsheets export them
    cells: dict[int, np.ndarray] = {}
    for place, column in enumerate(table.columns):
        values, bad = _to_numbers(column.to_pylist(), point, is_time=place == columns.time)
        if values is not None:
            cells[place] = values
        if bad:
            problems.append(f"has {bad} cells in {columns.names[place]} that are no numbers")
    if torn:
        problems.append(f"has {len(torn)} lines with too many cells, which are skipped")
    history = columns.history(cells, table.num_rows, text.first_row, problems)
    if not history.names:
        problems.append("has no column of numbers")
    return history


def _has_any(cells: np.ndarray) -> bool:
    return not cells.size or not is_empty(cells).all()


def _numbers(columns: _Columns, table: pa.Table) -> dict[int, np.ndarray]:
    return {
        place: _to_numpy(column, is_time=place == columns.time)
        for place, column in enumerate(table.columns)
    }


def _number_types(columns: _Columns) -> dict[str, Any]:
    import pyarrow as pa

    types = {str(place): pa.float64() for place in range(len(columns.names))}
    if columns.time is not None:
        types[str(columns.time)] = pa.timestamp("us", "UTC")
    return types


def _read_csv(
    body: bytes,
    types: dict[str, Any],
    separator: str,
    skip: Callable[[Any], str] | None = None,
    *,
    whole: bool = True,
) -> pa.Table:
    """Read cells; not as a ``whole``, in blocks side by side, in which no cell may hold a newline."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        pa.py_buffer(body),
        arrow_csv.ReadOptions(
            block_size=len(body) + 1 if whole else BLOCK_BYTES, column_names=list(types)
        ),
        arrow_csv.ParseOptions(
            delimiter=separator,
            newlines_in_values=whole,
            invalid_row_handler=skip,
        ),
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


def _to_numbers(
    cells: Sequence[bytes | None], point: bytes, is_time: bool
) -> tuple[np.ndarray | None, int]:
    """Return the cells as numbers and how many are none; None in their place when nothing is a number."""
    values = np.empty(len(cells))
    bad = 0
    for row, cell in enumerate(cells):
        try:
            values[row] = _number(cell, point, is_time) if cell and not cell.isspace() else EMPTY
        except ValueError:
            values[row] = EMPTY
            bad += 1
    filled = sum(bool(cell) and not cell.isspace() for cell in cells if cell)
    if filled and bad == filled:
        return None, 0
    return values, bad


def _number(cell: bytes, point: bytes, is_time: bool) -> float:
    return _seconds(cell) if is_time else float(cell.replace(point, b"."))


def _seconds(cell: bytes) -> float:
    text = cell.decode("ascii", "replace")
    try:
        return float(text)
    except ValueError:
        stamp = datetime.fromisoformat(text)
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()


def _count_lines(body: bytes | memoryview) -> int:
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == NEWLINE))
