"""What a comparison's table holds, cell by cell, whatever it is written as."""

from __future__ import annotations

import math
from collections.abc import Sequence

from poke.comparison.statistics.estimates import Estimate
from poke.comparison.statistics.grouping import MISSING, format_value
from poke.comparison.statistics.table import Comparison, Row

MAX_CELL = 40
FEW_SEEDS = 3


def format_number(value: float) -> str:
    """Return a number to four significant digits, an empty string for NaN that means "none"."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def printable(text: str) -> str:
    """Return a text without line breaks and terminal codes, which a run directory may hold."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def align(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return lines of columns, the first ``left`` flush left and the others flush right."""
    rows = [list(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, *rows]
    ]


def cut(text: str, width: int | None) -> str:
    """Return a text no longer than ``width``."""
    return text if width is None or len(text) <= width else text[: width - 3] + "..."


def headline(comparison: Comparison) -> str:
    """Return in one line what is compared and how."""
    groups = f"{comparison.num_runs} run{'s' if comparison.num_runs != 1 else ''}"
    if comparison.num_runs != comparison.num_groups:
        groups += f" in {comparison.num_groups} group{'s' if comparison.num_groups != 1 else ''}"
    better = "less" if comparison.mode == "min" else "more"
    shown = len(comparison.rows)
    some = f", {shown} shown" if shown < comparison.num_groups else ""
    return f"{comparison.metric}: {better} is better ({comparison.mode}, {comparison.mode_source}); {groups}{some}"


def footnotes(comparison: Comparison) -> list[str]:
    """Return what the columns mean, where it does not go without saying."""
    notes = []
    sizes = [row.chosen.n for row in comparison.rows]
    if any(size > 1 for size in sizes):
        notes.append(
            "mean ± standard deviation over runs; interval of the mean by stratified bootstrap"
        )
        if any(size < FEW_SEEDS for size in sizes):
            notes.append(
                f"* fewer than {FEW_SEEDS} runs: no interval, and no reason to believe a difference"
            )
        if any(FEW_SEEDS <= size < 5 for size in sizes):
            notes.append("intervals from 3 or 4 runs are narrower than they should be")
    if comparison.baseline:
        notes.append(f"baseline: {comparison.baseline}; p by Welch's test with Holm's correction")
    return notes


def lay_out(comparison: Comparison) -> tuple[list[str], list[list[str]], int]:
    """Return header, rows and the number of columns that name a group; columns that say nothing are left out."""
    rows = comparison.rows
    by_itself = all(len(row.group.runs) == 1 for row in rows)
    columns: list[tuple[str, list[str]]] = []
    for key in comparison.keys:
        columns.append((key, [_cell(row, key) for row in rows]))
    labels = len(columns)
    if by_itself and "run" not in comparison.keys:
        columns.append(("run", [row.group.runs[0].name for row in rows]))
        labels += 1
    at = comparison.at if isinstance(comparison.at, str) else f"step {comparison.at}"
    if not by_itself:
        columns.append(
            ("n", [f"{row.chosen.n}{'*' if row.chosen.n < FEW_SEEDS else ''}" for row in rows])
        )
    columns.append((at, [_mean(row.chosen) for row in rows]))
    columns.append(("95 % interval", [_range(row.chosen.low, row.chosen.high) for row in rows]))
    columns.append(("IQM", [_known(row.chosen.iqm) for row in rows]))
    for name, values in (
        ("last", [row.last for row in rows]),
        ("best", [row.best for row in rows]),
    ):
        if name != at:
            columns.append((name, [_mean(value) for value in values]))
    if comparison.baseline:
        contrasts = [row.contrast for row in rows]
        columns += [
            ("difference", [_known(one.difference) if one else "baseline" for one in contrasts]),
            ("its 95 % interval", [_range(one.low, one.high) if one else "" for one in contrasts]),
            ("p (Holm)", [_p(one.p) if one else "" for one in contrasts]),
            ("P(better)", [_known(one.improvement) if one else "" for one in contrasts]),
        ]
    kept = [column for place, column in enumerate(columns) if place < labels or any(column[1])]
    return (
        [name for name, _ in kept],
        [list(line) for line in zip(*(cells for _, cells in kept), strict=True)],
        labels,
    )


def _cell(row: Row, key: str) -> str:
    text = format_value(row.group.settings[key]) if key in row.group.settings else MISSING
    return text if key == "run" else cut(text, MAX_CELL)


def _mean(value: Estimate) -> str:
    mean = format_number(value.mean)
    return mean if math.isnan(value.std) else f"{mean} ± {value.std:.2g}"


def _range(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"[{format_number(low)}, {format_number(high)}]"


def _known(value: float) -> str:
    return "" if math.isnan(value) else format_number(value)


def _p(value: float) -> str:
    return "" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def format_seconds(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    for large, name, small, fine in (
        (days, "d", hours, "h"),
        (hours, "h", minutes, "min"),
        (minutes, "min", rest, "s"),
    ):
        if large:
            return f"{large} {name} {small} {fine}"
    return f"{rest} s"
