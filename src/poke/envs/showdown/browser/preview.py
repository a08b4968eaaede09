"""What a player sees when it orders its team, before a battle in which both teams are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from poke.envs.showdown.watching.scenes import spelled
from poke.envs.showdown.watching.words import to_id, visible


def preview(request: dict[str, Any], lines: Iterable[str], player: str) -> dict[str, Any]:
    """Return both teams, drawn as of `poke.envs.showdown.watching.scenes.scene`.

    Its ``options`` are who may lead, by their places in the team, and ``most`` says how many are chosen at most.

    Args:
        request: that asks for the order.
        lines: of the protocol so far.
        player: who orders: ``p1`` or ``p2``.
    """
    own = request["side"]["pokemon"]
    shown = [line.split("|")[2:4] for line in lines if line.startswith("|poke|")]
    opponent = [_pokemon(details) for seat, details in shown if seat != player]
    options = [
        {
            "kind": "order",
            "action": place,
            "label": _species(one["details"]),
            "detail": " · ".join(spelled("move", move) for move in one["moves"]),
        }
        for place, one in enumerate(own)
    ]
    return {
        "own": [_pokemon(one["details"], one.get("item", "")) for one in own],
        "opponent": opponent,
        "left": [len(own), len(opponent)],
        "field": [],
        "sides": [[], []],
        "options": options,
        "most": request.get("maxChosenTeamSize") or len(own),
    }


def _pokemon(details: str, item: str = "") -> dict[str, Any]:
    level = next((part[1:] for part in details.split(", ") if part[:1] == "L"), "100")
    return {
        "name": _species(details),
        "level": int(level) if level.isdecimal() else 100,
        "hp": 100,
        "status": "",
        "active": False,
        "fainted": False,
        "types": [],
        "ability": "",
        "item": spelled("item", to_id(item)) if item else "",
        "tera": "",
        "terastallized": False,
        "boosts": [],
        "effects": [],
        "moves": [],
    }


def _species(details: str) -> str:
    """Return who it is; of some the form is hidden, and told by a star."""
    name = details.partition(", ")[0].removesuffix("-*")
    return visible(name)
