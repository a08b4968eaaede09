"""A player's decision as it is drawn: what it saw by the names people know, what it might choose, what it thought."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

import numpy as np

from poke.envs.showdown import layout
from poke.envs.showdown.decoding import decode
from poke.envs.showdown.watching.chronicle import Chronicle, Moment

_STATS = {"accuracy": "acc", "evasion": "eva"}
_CATEGORIES = {"PHYSICAL": "physical", "SPECIAL": "special", "STATUS": "status"}
_WORDS = {
    "RAINDANCE": "Rain",
    "SUNNYDAY": "Sun",
    "SNOWSCAPE": "Snow",
    "PRIMORDIALSEA": "Heavy Rain",
    "DESOLATELAND": "Harsh Sun",
    "DELTASTREAM": "Strong Winds",
    "PERISH1": "Perish in 1",
    "PERISH2": "Perish in 2",
    "PERISH3": "Perish in 3",
    "LOCKED_MOVE": "Rampage",
    "PARTIALLY_TRAPPED": "Bound",
    "TYPECHANGE": "Type Changed",
    "THREE_QUESTION_MARKS": "???",
}
_LAYERED = ("SPIKES", "TOXIC_SPIKES")


def scene(moment: Moment) -> dict[str, Any]:
    """Return a decision as it is drawn, JSON-able.

    It has ``own`` and ``opponent``, the Pokemon known of each; ``left``, how many of each have not fainted; ``field``
    and ``sides``, what is up in words; ``options``, the legal choices, the likeliest first; ``value``, None where there
    is none; ``refused``, whether the choice before was not taken.
    """
    seen = decode(moment.decision.observation, _layout())
    whole = seen["global"]
    own = [_pokemon(one) for one in seen["own"]]
    thoughts = moment.thoughts
    return {
        "own": own,
        "opponent": [_pokemon(one) for one in seen["opponent"]],
        "left": [whole["own_remaining"], whole["opponent_remaining"]],
        "field": [_word(name) for name in (*whole["weather"], *whole["field"])],
        "sides": [_side(whole["own_side"]), _side(whole["opponent_side"])],
        "options": _options(moment, own),
        "value": None if thoughts is None or thoughts.value is None else round(thoughts.value, 4),
        "refused": moment.decision.refused,
    }


def decisions(chronicle: Chronicle) -> list[Moment]:
    """Return the decisions that are drawn: all but the order of a team, of which nothing is seen."""
    return [moment for moment in chronicle.moments if moment.decision.mask.any()]


def spelled(table: str, name: str | None) -> str:
    """Return how a name of one of the layout's tables is spelled, '' for None."""
    return _spellings()[table].get(name, name) if name else ""


def _pokemon(seen: dict[str, Any]) -> dict[str, Any]:
    effects = [_word(name) for name in seen["effects"]]
    effects += ["Must Recharge"] * bool(seen["must_recharge"]) + ["Preparing"] * bool(
        seen["preparing"]
    )
    return {
        "name": spelled("species", seen["species"]) or "?",
        "level": seen["level"],
        "hp": seen["hp"],
        "status": next(iter(seen["status"]), ""),
        "active": bool(seen["active"]),
        "fainted": bool(seen["fainted"]),
        "seen": bool(seen["revealed"]),
        "types": [_word(name) for name in seen["types"]],
        "ability": spelled("ability", seen["ability"]),
        "item": spelled("item", seen["item"]),
        "tera": _word(seen["tera_type"] or ""),
        "terastallized": bool(seen["terastallized"]),
        "boosts": [[_STATS.get(stat, stat), stages] for stat, stages in seen["boosts"].items()],
        "effects": effects,
        "moves": [_move(one) for one in seen["moves"]],
    }


def _move(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": spelled("move", seen["id"]) or "?",
        "type": _word(seen["type"] or ""),
        "category": next((_CATEGORIES[name] for name in seen["category"]), ""),
        "power": seen["base_power"],
        "accuracy": seen["accuracy"],
        "pp": seen["pp"],
    }


def _options(moment: Moment, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    options = []
    for action in np.flatnonzero(moment.decision.mask).tolist():
        kind, label = _labelled(action, own)
        chance = None if moment.thoughts is None else float(moment.thoughts.probabilities[action])
        options.append(
            {
                "label": label,
                "kind": kind,
                "action": action,
                "probability": None if chance is None else round(chance, 4),
                "chosen": action == moment.action,
            }
        )
    # Sorting is stable: without thoughts, and among equals, they are as the game has them.
    return sorted(options, key=lambda option: -(option["probability"] or 0))


def _labelled(action: int, own: list[dict[str, Any]]) -> tuple[str, str]:
    """Return an action's kind, as the layout calls it, and what it does."""
    group = next(g for g in reversed(_layout()["actions"]) if action >= g["offset"])
    slot = action - group["offset"]
    if group["name"] == "switch":
        return "switch", own[slot]["name"] if slot < len(own) else f"Pokemon {slot + 1}"
    active = next((one for one in own if one["active"]), {"moves": [], "tera": ""})
    moves = active["moves"]
    label = moves[slot]["name"] if slot < len(moves) else f"move {slot + 1}"
    return str(group["name"]), label


def _side(conditions: dict[str, int]) -> list[str]:
    return [
        _word(name) + (f" x{layers}" if name in _LAYERED else "")
        for name, layers in conditions.items()
    ]


def _word(name: str) -> str:
    return _WORDS.get(name) or name.replace("_", " ").title()


@functools.cache
def _layout() -> dict[str, Any]:
    """Return the layout, of which one serves all generations: made anew it takes longer than to read by it."""
    return layout.describe(9)


@functools.cache
def _spellings() -> dict[str, dict[str, str]]:
    text = resources.files(__package__).joinpath("spellings.json").read_text(encoding="utf-8")
    return {
        table: dict(zip(layout.tables()[table], names, strict=True))
        for table, names in json.loads(text).items()
    }
