"""The family of a run as a tree: what it was forked from or took its weights from, and what came of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from poke.comparison.reading.collection import read_runs
from poke.comparison.reading.discovery import RECORD_FILE
from poke.comparison.reading.record import sessions_of
from poke.comparison.reading.run import Run
from poke.comparison.showing.layout import format_number, printable
from poke.comparison.showing.lineage import parent_path

SWEEP_FILES = ("sweep.csv", "multirun.yaml")
# What stands before a child, the last child, and before what comes of either.
LINES, ASCII_LINES = ("├─ ", "└─ ", "│  ", "   "), ("|- ", "`- ", "|  ", "   ")


@dataclass(slots=True, eq=False)
class _Member:
    """A run of the family, or the path of one that is not there."""

    path: str
    run: Run | None = None
    parent: _Member | None = None
    children: list[_Member] = field(default_factory=list)


def family_tree(run: Run, runs: Sequence[Run], *, ascii_only: bool = False) -> str:
    """Return every known ancestor and descendant of a run, and what else came of them.

    Args:
        run: the run, which is marked.
        runs: where descendants are looked for. Ancestors are found on disk, too, and by their names
            if they were moved together with what they lie in.
        ascii_only: draw the tree without line characters.
    """
    members = _related(run, runs)
    root, met = members[_real(run)], set()
    while root.parent and root.path not in met:  # a damaged record may name its own descendant
        met.add(root.path)
        root = root.parent
    lines = _draw(root, "", "", ASCII_LINES if ascii_only else LINES, _real(run), set())
    return "\n".join(map(printable, lines)) + "\n"


def _related(run: Run, runs: Sequence[Run]) -> dict[str, _Member]:
    """Return the runs by real path, each with its parent and its children in the order of their starts."""
    members = {_real(one): _Member(_real(one), one) for one in [*runs, run]}
    waiting = list(members.values())
    while waiting:
        member = waiting.pop()
        path = parent_path(member.run.record) if member.run else None
        if path is None:
            continue
        found = _find(path, members)
        if found not in members:
            # one that lies elsewhere, or nowhere now
            there = read_runs([found], cache=False) if os.path.isdir(found) else []
            members[found] = _Member(found, there[0] if len(there) == 1 else None)
            waiting.append(members[found])
        member.parent = members[found]
    for member in sorted(members.values(), key=_started):
        if member.parent:
            member.parent.children.append(member)
    return members


def _find(path: str, members: dict[str, _Member]) -> str:
    """Return the real path of the run that a path, or that of one of its files, names; a moved one's as it is now."""
    real = os.path.realpath(path)
    above = (real, os.path.dirname(real), os.path.dirname(os.path.dirname(real)))
    for folder in above:
        if folder in members or os.path.isfile(os.path.join(folder, RECORD_FILE)):
            return folder
    folder = real if not real.endswith(".pt") else above[2]
    name = "/".join(folder.split("/")[-2:])
    moved = [
        member.path
        for member in members.values()
        if member.run
        and (member.run.record.get("name") == name or member.path.endswith(f"/{name}"))
    ]
    return moved[0] if len(moved) == 1 else folder


def _draw(
    member: _Member, before: str, below: str, lines: Sequence[str], asked: str, met: set[str]
) -> Iterator[str]:
    mark = "  <- asked for" if member.path == asked else ""
    yield f"{before}{_describe(member)}{mark}"
    if member.path in met:
        yield f"{below}{lines[1]}which descends from itself"
        return
    met.add(member.path)
    child, last, beside, under = lines
    for following in member.children:
        is_last = following is member.children[-1]
        yield from _draw(
            following,
            below + (last if is_last else child),
            below + (under if is_last else beside),
            lines,
            asked,
            met,
        )


def _describe(member: _Member) -> str:
    run = member.run
    if run is None:
        return f"{member.path}: no run there now"
    parts = [run.status]
    if not math.isnan(run.summary.step):
        parts.append(f"step {format_number(run.summary.step)}")
    parent = run.record.get("parent")
    if parent:
        step = "" if parent.get("step") is None else f" at step {parent['step']}"
        parts.append("took its weights" if parent.get("how") == "init_from" else f"forked{step}")
    resumes = len(sessions_of(run.record)) - 1
    if resumes > 0:
        parts.append("resumed once" if resumes == 1 else f"resumed {resumes} times")
    sweep = _sweep_of(run)
    if sweep:
        parts.append(f"job of sweep {sweep}")
    return f"{run.name}: {', '.join(parts)}"


def _sweep_of(run: Run) -> str | None:
    folder = os.path.dirname(os.path.abspath(run.name))
    if any(os.path.isfile(os.path.join(folder, name)) for name in SWEEP_FILES):
        return os.path.basename(folder)
    return None


def _started(member: _Member) -> tuple[float, str]:
    begun = member.run.instant("started") if member.run else None
    return (begun.timestamp() if begun else 0.0), member.path


def _real(run: Run) -> str:
    return os.path.realpath(run.name)
