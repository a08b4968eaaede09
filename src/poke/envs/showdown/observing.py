"""`python -m poke.envs.showdown observe`: what a player saw at each of its decisions, from the lines it was sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from poke.envs.showdown import layout
from poke.envs.showdown.decoding import decode
from poke.envs.showdown.formats import FormatError
from poke.envs.showdown.pipes.hearing import Hearing
from poke.envs.showdown.pipes.lines import LineDecision, LineError, LineWorker

PLAYERS = ("p1", "p2")


def observe(
    lines: Sequence[str], *, player: str | None = None, battle_format: str | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what a player saw at each decision, and what it might choose, JSON-able.

    Decisions of a single choice are among them; the order of the team at its preview is not.

    Args:
        lines: of the protocol as this player was sent them, requests included.
        player: ``p1`` or ``p2``; by default the one whom the requests are of.
        battle_format: such as ``gen1randombattle``, or a generation alone; by default what the lines say.

    Raises:
        LineError: the lines are no battle's, or do not say what is not given.
        FormatError: a format that is not played.
        ShowdownError: node or the package is missing.
    """
    requested = _requested(lines)
    if player is not None and player != requested:
        raise LineError(f"the requests are {requested}'s, not {player}'s")
    with LineWorker() as worker:
        tracker = worker.follow(battle_format or format_of(lines), requested)
        described = layout.describe(tracker.generation)
        hearing = Hearing(tracker)
        for line in lines:
            decision = hearing.read(line)
            if decision is not None and decision.mask.any():
                yield _said(decision, described)
        decision = hearing.pause()
        if decision is not None and decision.mask.any():
            yield _said(decision, described)


def format_of(lines: Sequence[str]) -> str:
    """Return the format that lines say they are of: its generation alone for a custom game, which has no rules.

    Raises:
        LineError: they do not say.
        FormatError: a battle of more than one Pokemon a side.
    """
    said = {}
    for kind in ("gametype", "gen", "tier"):
        found = next((line for line in lines if line.startswith(f"|{kind}|")), "")
        said[kind] = found.removeprefix(f"|{kind}|").strip()
    tier = re.sub(r"[^a-z0-9]", "", said["tier"].lower())
    if said["gametype"] not in ("", "singles"):
        name = tier or said["gametype"]
        raise FormatError(
            f"format {name} is not played: it is {said['gametype']}, only singles are"
        )
    if not re.fullmatch("[1-9]", said["gen"]):
        raise LineError("the lines do not say of which generation they are: add --format gen1, say")
    generation = f"gen{said['gen']}"
    return generation if not tier.startswith(generation) or "customgame" in tier else tier


def _requested(lines: Sequence[str]) -> str:
    """Return whose requests these are."""
    for line in lines:
        if line.startswith("|request|") and '"side"' in line:
            try:
                player = json.loads(line.removeprefix("|request|"))["side"]["id"]
            except (ValueError, LookupError, TypeError):
                raise LineError(f"this is no request: {line.strip()[:80]}") from None
            if player in PLAYERS:
                return str(player)
    raise LineError("there is no |request| line: what a player could choose is not known")


def _said(decision: LineDecision, described: dict[str, Any]) -> dict[str, Any]:
    seen = decode(decision.observation, described)
    return {
        "turn": seen["global"]["turn"],
        "mask": decision.mask.astype(int).tolist(),
        "own": seen["own"],
        "opponent": seen["opponent"],
        "global": seen["global"],
    }
