"""Show a comparison as text, CSV, Markdown, LaTeX or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poke.comparison.grouping import MISSING, format_value
from poke.comparison.run import Run
from poke.comparison.statistics import Estimate
from poke.comparison.table import Comparison, Row

MAX_CELL = 40
FEW_SEEDS = 3


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
        "csv": lambda: _csv(comparison),
        "md": lambda: _markdown(comparison),
        "latex": lambda: _latex(comparison),
        "json": lambda: json.dumps(to_json(comparison), indent=1, allow_nan=False) + "\n",
    }[form]()


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values; NaN and infinities become null."""
    return {
        "metric": comparison.metric,
        "mode": comparison.mode,
        "at": comparison.at,
        "keys": comparison.keys,
        "equal": comparison.equal,
        "num_groups": comparison.num_groups,
        "num_runs": comparison.num_runs,
        "baseline": comparison.baseline,
        "groups": [
            {
                "label": row.group.label,
                "settings": row.group.settings,
                "runs": [run.name for run in row.group.runs],
                "seeds": [run.seed for run in row.group.runs],
                "values": [_finite(value) for value in row.values.tolist()],
                **_finite_fields(row.chosen._asdict()),
                "last": _finite_fields(row.last._asdict()),
                "best": _finite_fields(row.best._asdict()),
                "contrast": row.contrast
                and _finite_fields(
                    {name: getattr(row.contrast, name) for name in row.contrast.__slots__}
                ),
            }
            for row in comparison.rows
        ],
        "not_averaged": [{"run": run.name, "why": why} for run, why in comparison.aside],
        "notes": comparison.notes,
    }


def format_number(value: float) -> str:
    """Return a number to four significant digits, an empty string for NaN that means "none"."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def align(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return lines of columns, the first ``left`` flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, *rows]
    ]


def _columns(comparison: Comparison) -> tuple[list[str], list[list[str]], int]:
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


def _text(comparison: Comparison, style: Style) -> str:
    header, rows, labels = _columns(comparison)
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
        equal = ", ".join(f"{key}={format_value(value)}" for key, value in comparison.equal.items())
        text.append(style.faint(_cut(f"equal in all: {equal}", style.width)))
    text += [style.faint(line) for line in footnotes(comparison)]
    text += aside_lines(comparison.aside, comparison.metric)
    text += [f"! {note}" for note in comparison.notes]
    return "\n".join(text) + "\n"


def headline(comparison: Comparison) -> str:
    """Return in one line what is compared and how."""
    groups = f"{comparison.num_runs} runs in {comparison.num_groups} groups"
    if comparison.num_runs == comparison.num_groups:
        groups = f"{comparison.num_runs} runs"
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
    typed = {
        override.lstrip("+~").partition("=")[0]
        for row in comparison.rows
        for run in row.group.runs
        for override in run.record.get("overrides") or []
    }
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


def _csv(comparison: Comparison) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(Estimate._fields)
    contrast = ["difference", "difference_low", "difference_high", "p_holm", "p_better"]
    header = [*comparison.keys, "runs", *names, "last_mean", "last_std", "best_mean", "best_std"]
    writer.writerow(header + (contrast if comparison.baseline else []))
    for row in comparison.rows:
        one = row.contrast
        against = [one.difference, one.low, one.high, one.p, one.improvement] if one else [""] * 5
        numbers = [*row.chosen, row.last.mean, row.last.std, row.best.mean, row.best.std]
        settings = [
            "" if key not in row.group.settings else format_value(row.group.settings[key])
            for key in comparison.keys
        ]
        runs = " ".join(run.name for run in row.group.runs)
        writer.writerow([*settings, runs, *numbers, *(against if comparison.baseline else [])])
    return out.getvalue()


def _markdown(comparison: Comparison) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    header, rows, labels = _columns(comparison)
    rule = ["---" if place < labels else "---:" for place in range(len(header))]
    text = [headline(comparison), "", line(header), line(rule), *map(line, rows), ""]
    text += [f"{note}  " for note in footnotes(comparison)]
    text += [f"- not averaged: {run.name} ({why})" for run, why in comparison.aside]
    text += [f"- {note}" for note in comparison.notes]
    return "\n".join(text).rstrip() + "\n"


def _latex(comparison: Comparison) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(_latex_escape, cells)) + r" \\"

    header, rows, labels = _columns(comparison)
    text = [
        f"% {headline(comparison)}",
        *(f"% {note}" for note in footnotes(comparison)),
        *(f"% not averaged: {run.name} ({why})" for run, why in comparison.aside),
        *(f"% {note}" for note in comparison.notes),
        f"\\begin{{tabular}}{{{'l' * labels}{'r' * (len(header) - labels)}}}",
        r"\toprule",
        line(header),
        r"\midrule",
        *map(line, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(text) + "\n"


def _latex_escape(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
    }
    return "".join(
        special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text
    )


def _cell(row: Row, key: str) -> str:
    text = format_value(row.group.settings[key]) if key in row.group.settings else MISSING
    return text if key == "run" else _cut(text, MAX_CELL)


def _mean(value: Estimate) -> str:
    mean = format_number(value.mean)
    return mean if math.isnan(value.std) else f"{mean} ± {value.std:.2g}"


def _range(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"[{format_number(low)}, {format_number(high)}]"


def _known(value: float) -> str:
    return "" if math.isnan(value) else format_number(value)


def _p(value: float) -> str:
    return "" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else text[: width - 3] + "..."


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _finite_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _finite(value) for name, value in fields.items()}
