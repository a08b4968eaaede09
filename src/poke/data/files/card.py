"""What a file of recorded experience says of itself, in a few lines. Reads no rows, imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poke.data import trajectories
from poke.data.files.described import action_space

_HEAD = ("who", "met", "battles", "decisions", "won", "drawn", "lost", "refused")


def card(path: str | Path) -> list[str]:
    """Return the lines: what was played, by whom and how it went, what is seen and chosen, what is not known.

    Args:
        path: a Parquet file in poke's schema, or ``sample:NAME``.

    Raises:
        DataError: the file is missing or wrong.
    """
    about = trajectories.read_metadata(path)
    size = trajectories.locate(path).stat().st_size
    told = [(name, text) for name, text in _told(about, trajectories.count_rows(path)) if text]
    if trajectories.lacks_finals(path):
        told.append(("cut off", "of episodes that were, what was seen last is not known"))
    width = max(len(name) for name, _ in told)
    lines = [f"{path}  {size / 1e6:.1f} MB, {about['schema']} {about['version']}"]
    lines += [f"  {name:{width}}  {text}" for name, text in told]
    results = about.get("results")
    return [*lines, *_table(results)] if results and _is_nested(results) else lines


def _told(about: Mapping[str, Any], rows: int) -> Iterator[tuple[str, str]]:
    yield "played", _played(about)
    yield "seed", str(about.get("seed", ""))
    yield "versions", ", ".join(f"{k} {v}" for k, v in about.get("versions", {}).items())
    experts = about.get("experts", {})
    yield "recorded", ", ".join(_with_share(name, experts) for name in experts)
    yield "policies", ", ".join(f"{n} ({d[:8]})" for n, d in about.get("policies", {}).items())
    imported = about.get("imported", {})
    yield "imported", ", ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in imported.items())
    yield "decisions", f"{rows:,}" + _unknown(imported, rows)
    observation, layout = about["observation"], about.get("layout") or {}
    seen = f"{observation['dtype']} {list(observation['shape'])}"
    if layout:
        seen += f", layout {layout['version']} of generation {layout['generation']}"
    yield "seen", seen
    yield "chosen", str(action_space(about["action"]))


def _played(about: Mapping[str, Any]) -> str:
    what = about.get("format") or about.get("env") or about.get("dataset_id") or ""
    battles = about.get("battles")
    return f"{battles[1] - battles[0]:,} battles of {what}" if battles else str(what)


def _with_share(name: str, shares: Mapping[str, float]) -> str:
    return (
        name if len(shares) == 1 else f"{name} ({100 * shares[name] / sum(shares.values()):.3g} %)"
    )


def _unknown(imported: Mapping[str, Any], rows: int) -> str:
    if "unknown" not in imported:
        return ""
    return f", the choice of {imported['unknown'] / max(1, rows):.1%} is not known"


def _is_nested(results: Mapping[str, Any]) -> bool:
    """Whether results are by who played and whom it met: of earlier recordings they are by whom it met alone."""
    return all(isinstance(counts, Mapping) for met in results.values() for counts in met.values())


def _table(results: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[str]:
    rows = [list(_HEAD)]
    for agent, met in results.items():
        for opponent, counts in met.items():
            battles = max(1, counts["battles"])
            shares = [f"{counts[name] / battles:.1%}" for name in ("won", "drawn", "lost")]
            numbers = [f"{counts[name]:,}" for name in ("battles", "decisions")]
            rows.append([agent, opponent, *numbers, *shares, f"{counts['refused']:,}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    return ["", *(_aligned(row, widths) for row in rows)]


def _aligned(row: list[str], widths: list[int]) -> str:
    cells = [
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  " + "  ".join(cells)
