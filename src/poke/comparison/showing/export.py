"""A comparison for other programs and documents: JSON, CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from poke.comparison.showing.layout import footnotes, headline, lay_out, printable
from poke.comparison.statistics.estimates import Estimate
from poke.comparison.statistics.grouping import format_value
from poke.comparison.statistics.table import Comparison


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


def to_csv(comparison: Comparison) -> str:
    """Return the groups as CSV, numbers in full."""
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


def to_markdown(comparison: Comparison) -> str:
    """Return the table in Markdown, with what stands against the averages below it."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"

    header, rows, labels = lay_out(comparison)
    rule = ["---" if place < labels else "---:" for place in range(len(header))]
    text = [headline(comparison), "", line(header), line(rule), *map(line, rows), ""]
    text += [f"{note}  " for note in footnotes(comparison)]
    text += [f"- {line}" for line in _against(comparison)]
    return "\n".join(text).rstrip() + "\n"


def to_latex(comparison: Comparison) -> str:
    """Return a booktabs tabular, with what stands against the averages in comments above it."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(_latex_escape(printable(cell)) for cell in cells) + r" \\"

    header, rows, labels = lay_out(comparison)
    text = [
        f"% {headline(comparison)}",
        *(f"% {note}" for note in footnotes(comparison)),
        *(f"% {line}" for line in _against(comparison)),
        f"\\begin{{tabular}}{{{'l' * labels}{'r' * (len(header) - labels)}}}",
        r"\toprule",
        line(header),
        r"\midrule",
        *map(line, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(text) + "\n"


def _against(comparison: Comparison) -> list[str]:
    """Return what stands against the averages, a line each."""
    aside = [f"not averaged: {run.name} ({why})" for run, why in comparison.aside]
    return [printable(line) for line in [*aside, *comparison.notes]]


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


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _finite_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _finite(value) for name, value in fields.items()}
