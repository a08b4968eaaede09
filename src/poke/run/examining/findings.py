"""What an examination finds, and how it is told in 80 columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

OK, MISSING, BROKEN = "ok", "missing", "broken"
WIDTH = 80
_INDENT = 22


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: of the thing, in at most 11 letters.
        status: ok, missing or broken.
        text: what was found.
        advice: what to do, in one line; nothing where all is right.
        needed: whether the main job, a run on this machine, cannot do without it.
    """

    name: str
    status: str
    text: str
    advice: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Group:
    """Findings that belong together, under a title."""

    title: str
    findings: Sequence[Finding]


def examined(
    name: str, look: Callable[[], Finding], *, advice: str, needed: bool = False
) -> Finding:
    """Return what a look finds. Whatever is raised by what is looked at is a finding too.

    Args:
        name: of the thing.
        look: finds.
        advice: what to do if it raises.
        needed: whether the main job needs it.
    """
    try:
        return look()
    except Exception as error:
        said = " ".join(str(error).split())
        return Finding(name, BROKEN, f"{type(error).__name__}: {said}", advice, needed)


def can_run(groups: Sequence[Group]) -> bool:
    """Whether the main job has all that it needs."""
    return not any(f.needed and f.status != OK for group in groups for f in group.findings)


def as_text(groups: Sequence[Group]) -> str:
    """Return the findings for a terminal, a line each and one of advice where something is not right."""
    lines: list[str] = []
    for group in groups:
        lines += [group.title]
        for finding in group.findings:
            line = f"  {finding.status:<8}{finding.name:<12}{finding.text}".rstrip()
            lines.append(_cut(line))
            if finding.advice:
                lines.append(_advice(finding.advice))
        lines.append("")
    lines.append("a run can begin" if can_run(groups) else "no run can begin: see what is needed")
    return "\n".join(lines) + "\n"


def as_json(groups: Sequence[Group]) -> str:
    """Return the findings whole, for programs."""
    found = [{"group": group.title, **asdict(f)} for group in groups for f in group.findings]
    return json.dumps({"can_run": can_run(groups), "findings": found}, indent=1) + "\n"


def _advice(text: str) -> str:
    """The advice under its finding, further left where it is long: a command must stand whole."""
    return " " * max(2, min(_INDENT, WIDTH - len(text) - 3)) + "> " + text


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
