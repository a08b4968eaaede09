"""Turn the text of metrics files into numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from poke.comparison.reading.rows.dialect import STEP_NAMES, fill_rows, parts, split_header
from poke.comparison.reading.rows.history import EMPTY, History, is_empty
from poke.comparison.reading.rows.incremental import Text

if TYPE_CHECKING:
    import pyarrow as pa

TIME_NAMES = ("time", "wall_time", "timestamp")
NEWLINE = ord("\n")
BLOCK_BYTES = 1 << 20  # what one thread parses at a time
PART_BYTES = 1 << 22  # what is parsed at a time of a file that is read by itself

# What arrow read last is kept until it reads again. Its threads let go of what they read a little
# after the reader returns; the last to do so frees the Python object inside, and where the process is
# just ending, that aborts it ("terminate called without an active exception", once in a thousand).
_last_read: pa.Buffer | None = None


def parse(texts: Sequence[Text]) -> list[History]:
    """Parse CSV texts; each becomes what it would alone.

    Fast path: those of equal columns go through the parser together, which saves most of its cost.
    """
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

    # a text by itself is not copied: it may be large
    body = texts[0].body if len(texts) == 1 else b"".join(text.body for text in texts)
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
    whole = columns.history(_numbers(columns, table), table.num_rows, 0, columns.problems)
    pa.default_memory_pool().release_unused()
    parsed: list[History] = []
    start = 0
    for text, length in zip(texts, lengths, strict=True):
        rows = whole.matrix[:, start : start + length]  # a view: copies of all would cost a tenth
        if not columns.steps:
            rows[0] += text.first_row - start
        parsed.append(History(whole.names, rows, whole.problems))
        start += length
    return parsed


def _parse_alone(columns: _Columns, text: Text) -> History:
    """Return the rows of a text in which some lines may be short or torn and some cells no numbers.

    Part by part: what is odd makes its own part slow, and what that needs of memory is small.
    """
    found = [_Part(columns, part) for part in parts(text.body, PART_BYTES)]
    problems = list(columns.problems)
    cells: dict[int, np.ndarray] = {}
    for place, name in enumerate(columns.names):
        bad = sum(part.bad.get(place, 0) for part in found)
        numbers = [part.cells[place] for part in found]
        column = np.concatenate(numbers) if numbers else np.empty(0)
        if bad and is_empty(column).all():
            continue  # a column of words
        cells[place] = column
        if bad:
            problems.append(f"has {bad} cells in {name} that are no numbers")
    torn = sum(part.num_torn for part in found)
    if torn:
        problems.append(f"has {torn} lines with too many cells, which are skipped")
    num_rows = sum(part.num_rows for part in found)
    history = columns.history(cells, num_rows, text.first_row, problems)
    if num_rows and not history.names and len(cells) < len(columns.names):
        problems.append("has no column of numbers")
    return history


class _Part:
    """Some rows of a text.

    Args:
        columns: its columns.
        body: the rows; cells may be missing at their ends.
    """

    def __init__(self, columns: _Columns, body: bytes) -> None:
        import pyarrow as pa

        self.num_torn = 0
        self.bad: dict[int, int] = {}
        body = fill_rows(body, len(columns.names), columns.separator)
        types = _number_types(columns)
        self.cells = dict.fromkeys(range(len(types)), np.empty(0))
        self.num_rows = 0
        if not body.strip():
            return
        try:
            table = _read_csv(body, types, columns.separator)
        except pa.ArrowInvalid:
            table = self._read_words(columns, body, list(types))
        else:
            self.cells = _numbers(columns, table)
        self.num_rows = table.num_rows

    def _read_words(self, columns: _Columns, body: bytes, names: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        def skip(line: Any) -> str:
            self.num_torn += 1
            return "skip"

        body = body.decode("utf-8", "replace").encode()  # arrow hands `skip` a line as text
        try:
            table = _read_csv(body, dict.fromkeys(names, pa.binary()), columns.separator, skip)
        except pa.ArrowInvalid:
            raise ValueError("is no CSV") from None
        point = (
            b"." if columns.separator == "," else b","
        )  # of decimals, as spreadsheets export them
        for place, column in enumerate(table.columns):
            self.cells[place], bad = _to_numbers(
                column.to_pylist(), point, is_time=place == columns.time
            )
            if bad:
                self.bad[place] = bad
        return table


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
    body: bytes | memoryview,
    types: dict[str, Any],
    separator: str,
    skip: Callable[[Any], str] | None = None,
    *,
    whole: bool = True,
) -> pa.Table:
    """Read cells; not as a ``whole``, in blocks side by side, in which no cell may hold a newline."""
    global _last_read
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    _last_read = pa.py_buffer(body)
    return arrow_csv.read_csv(
        _last_read,
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
) -> tuple[np.ndarray, int]:
    """Return the cells as numbers, those that are none as empty, and how many these are."""
    values = np.full(len(cells), EMPTY)
    bad = 0
    for row, cell in enumerate(cells):
        if cell and not cell.isspace():
            try:
                values[row] = _number(cell, point, is_time)
            except ValueError:
                bad += 1
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
    cells = np.frombuffer(body, np.uint8)
    parts = (cells[start : start + BLOCK_BYTES] for start in range(0, cells.size, BLOCK_BYTES))
    return sum(int(np.count_nonzero(part == NEWLINE)) for part in parts)
