"""A comparison as text for a terminal, or in the format that is asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from poke.comparison.reading.run import Run
from poke.comparison.showing.export import to_csv, to_json, to_latex, to_markdown
from poke.comparison.showing.layout import (
    align,
    cut,
    footnotes,
    format_number,
    headline,
    lay_out,
    printable,
)
from poke.comparison.statistics.grouping import format_value
from poke.comparison.statistics.table import Comparison


@dataclass(frozen=True, slots=True)
class Style:
    """How text is set.

    Args:
        width: characters a line may have; None for no limit.
        dim: whether less important lines are dimmed by terminal codes.
    """

    width: int | None = None
    dim: bool = False

    def faint(self, text: str) -> str:
        """Return text that stands back."""
        return f"\x1b[2m{text}\x1b[0m" if self.dim else text


def render(comparison: Comparison, form: str, style: Style) -> str:
    """Return the comparison in a format: ``table``, ``csv``, ``md``, ``latex`` or ``json``."""
    return {
        "table": lambda: _text(comparison, style),
        "csv": lambda: to_csv(comparison),
        "md": lambda: to_markdown(comparison),
        "latex": lambda: to_latex(comparison),
        "json": lambda: json.dumps(to_json(comparison), indent=1, allow_nan=False) + "\n",
    }[form]()


def _text(comparison: Comparison, style: Style) -> str:
    header, rows, labels = lay_out(comparison)
    folded: list[str] = []
    lines = align(header, rows, labels)
    if style.width is not None:
        folded = _fold(comparison, header, rows, labels, style.width)
        header, rows, labels = _without(header, rows, labels, folded)
        lines = align(header, rows, labels)
    text = [headline(comparison), "", *lines, ""]
    if folded:
        text.append(style.faint(f"vary too: {', '.join(folded)}"))
    if comparison.equal:
        text.append(style.faint(cut(_equal(comparison), style.width)))
    text += [style.faint(line) for line in footnotes(comparison)]
    text += aside_lines(comparison.aside, comparison.metric)
    text += [f"! {printable(note)}" for note in comparison.notes]
    return "\n".join(text) + "\n"


def _equal(comparison: Comparison) -> str:
    """Return the equal settings in one line, those that somebody typed first."""
    typed = _typed(comparison)
    keys = sorted(comparison.equal, key=lambda key: key not in typed)
    settings = ", ".join(f"{key}={format_value(comparison.equal[key])}" for key in keys)
    return printable(f"equal in all ({len(keys)}): {settings}")


def _typed(comparison: Comparison) -> set[str]:
    """Return the settings that stand in the command line of a run."""
    return {
        override.lstrip("+~").partition("=")[0]
        for row in comparison.rows
        for run in row.group.runs
        for override in run.record.get("overrides") or []
    }


def aside_lines(aside: Sequence[tuple[Run, str]], metric: str, limit: int = 20) -> list[str]:
    """Return the runs that were not averaged, a line each."""
    if not aside:
        return []
    lines = [f"not averaged ({len(aside)}):"]
    rows = []
    for run, why in aside[:limit]:
        step = run.summary.step
        value = run.summary.last(metric)[0]
        rows.append(
            [
                f"  {run.name}",
                why,
                "" if math.isnan(step) else f"step {format_number(step)}",
                "" if math.isnan(value) else f"{metric} {format_number(value)}",
                str(run.record.get("error") or ""),
            ]
        )
    lines += align([""] * 5, rows, 5)[1:]
    if len(aside) > limit:
        lines.append(f"  and {len(aside) - limit} more")
    return lines


def _fold(
    comparison: Comparison, header: list[str], rows: list[list[str]], labels: int, width: int
) -> list[str]:
    """Return the settings to leave out so that a line fits: first those that only repeat another one."""
    typed = _typed(comparison)
    partitions: set[tuple[int, ...]] = set()
    redundant: list[str] = []
    for key in sorted(comparison.keys, key=lambda key: key not in typed):
        cells = [line[header.index(key)] for line in rows]
        order = {cell: place for place, cell in enumerate(dict.fromkeys(cells))}
        partition = tuple(order[cell] for cell in cells)
        if partition in partitions:
            redundant.append(key)
        partitions.add(partition)
    others = [key for key in reversed(comparison.keys) if key not in redundant]
    folded: list[str] = []
    for key in [*reversed(redundant), *others[:-1]]:
        if max(map(len, align(*_without(header, rows, labels, folded)))) <= width:
            break
        folded.append(key)
    return [key for key in comparison.keys if key in folded]


def _without(
    header: list[str], rows: list[list[str]], labels: int, folded: Sequence[str]
) -> tuple[list[str], list[list[str]], int]:
    kept = [place for place, name in enumerate(header) if place >= labels or name not in folded]
    return (
        [header[place] for place in kept],
        [[line[place] for place in kept] for line in rows],
        labels - len(folded),
    )
