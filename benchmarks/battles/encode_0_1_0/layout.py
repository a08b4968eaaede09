"""What each byte of an observation means, declared once.

An observation is one int8 vector of three groups of equal-shaped entities: ``global`` (1), ``own``
(6 Pokemon) and ``opponent`` (6 Pokemon), each Pokemon ending in 4 moves. An entity is *dense*
features (value = byte * scale, near [-1, 1]) followed by *ids*: little-endian unsigned 16-bit
numbers into a table, where 0 is unknown or absent. An entity that is unknown or absent is all
zeros. One layout serves all generations; only the number of actions differs.

`describe` says all of this in JSON for the metadata of the data.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

VERSION = 1
TEAM_SIZE = 6
NUM_MOVES = 4

# fmt: off
TYPES = (
    "BUG", "DARK", "DRAGON", "ELECTRIC", "FAIRY", "FIGHTING", "FIRE", "FLYING", "GHOST",
    "GRASS", "GROUND", "ICE", "NORMAL", "POISON", "PSYCHIC", "ROCK", "STEEL", "WATER",
    "THREE_QUESTION_MARKS", "STELLAR",
)
STATS = ("hp", "atk", "def", "spa", "spd", "spe")
BOOSTS = ("atk", "def", "spa", "spd", "spe", "accuracy", "evasion")
STATUSES = ("BRN", "FRZ", "PAR", "PSN", "SLP", "TOX")
WEATHERS = (
    "DELTASTREAM", "DESOLATELAND", "HAIL", "PRIMORDIALSEA", "RAINDANCE", "SANDSTORM",
    "SNOWSCAPE", "SUNNYDAY",
)
FIELDS = (
    "ELECTRIC_TERRAIN", "GRASSY_TERRAIN", "GRAVITY", "MAGIC_ROOM", "MISTY_TERRAIN",
    "PSYCHIC_TERRAIN", "TRICK_ROOM", "WONDER_ROOM",
)
SIDE_CONDITIONS = (
    "AURORA_VEIL", "LIGHT_SCREEN", "MIST", "REFLECT", "SAFEGUARD", "SPIKES", "STEALTH_ROCK",
    "STICKY_WEB", "TAILWIND", "TOXIC_SPIKES",
)
EFFECTS = (
    "ATTRACT", "BIDE", "CONFUSION", "CURSE", "DISABLE", "ENCORE", "FOCUS_ENERGY",
    "LEECH_SEED", "LOCKED_MOVE", "PARTIALLY_TRAPPED", "PERISH1", "PERISH2", "PERISH3",
    "PROTECT", "REFLECT", "SALT_CURE", "SUBSTITUTE", "TAUNT", "THROAT_CHOP", "TRAPPED",
    "TYPECHANGE", "YAWN",
)
# fmt: on


@dataclass(frozen=True)
class Feature:
    """One dense feature.

    Args:
        name: unique in its kind of entity.
        scale: value = byte * scale.
        low, high: the bytes' range, both included.
        meaning: in words.
        parts: the name of each byte, for a feature of several; empty for a single byte.
    """

    name: str
    scale: float
    low: int
    high: int
    meaning: str
    parts: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """In bytes."""
        return max(1, len(self.parts))


def _flag(name: str, meaning: str, parts: tuple[str, ...] = ()) -> Feature:
    return Feature(name, 1.0, 0, 1, meaning, parts)


GLOBAL = (
    Feature("turn", 1 / 50, 0, 127, "turns begun, at most 127"),
    _flag("force_switch", "the choice is which Pokemon to send in"),
    _flag("trapped", "switching is impossible"),
    _flag("maybe_trapped", "switching may turn out to be impossible"),
    _flag("can_mega_evolve", "the active Pokemon may mega evolve"),
    _flag("can_z_move", "the active Pokemon may use a Z-move"),
    _flag("can_dynamax", "the active Pokemon may dynamax"),
    _flag("can_tera", "the active Pokemon may terastallize"),
    _flag("weather", "one-hot", WEATHERS),
    _flag("field", "which are up", FIELDS),
    Feature("own_side", 1 / 3, 0, 3, "layers, 1 for what has none", SIDE_CONDITIONS),
    Feature("opponent_side", 1 / 3, 0, 3, "layers, 1 for what has none", SIDE_CONDITIONS),
    Feature("own_remaining", 1 / 6, 0, 6, "own Pokemon not fainted"),
    Feature(
        "opponent_remaining", 1 / 6, 0, 6, "opposing Pokemon not fainted, unseen ones included"
    ),
    Feature("opponent_seen", 1 / 6, 0, 6, "opposing Pokemon that have appeared"),
    Feature(
        "physical_ratio",
        1 / 16,
        -127,
        127,
        "16 log2(own attack / opposing defence), estimated from base stats and boosts",
    ),
    Feature("special_ratio", 1 / 16, -127, 127, "the same of the special stats"),
    Feature("opponent_physical_ratio", 1 / 16, -127, 127, "16 log2(opposing attack / own defence)"),
    Feature("opponent_special_ratio", 1 / 16, -127, 127, "the same of the special stats"),
)

POKEMON = (
    _flag("known", "the slot holds a Pokemon"),
    _flag("active", "it is in battle"),
    _flag("fainted", "it has fainted"),
    _flag("revealed", "it has appeared in battle"),
    _flag("available", "switching to it is legal now; own Pokemon only"),
    Feature(
        "hp", 1 / 100, 0, 100, "percent of its maximum; only full is 100, only fainted or unknown 0"
    ),
    Feature("status", 1.0, 0, 1, "one-hot", STATUSES),
    Feature("status_counter", 1 / 8, 0, 15, "turns asleep or badly poisoned, at most 15"),
    Feature("boosts", 1 / 6, -6, 6, "stages", BOOSTS),
    _flag("effects", "which are on it", EFFECTS),
    _flag("must_recharge", "it cannot act this turn"),
    _flag("preparing", "it is charging a two-turn move"),
    _flag("first_turn", "its first turn since it came in"),
    Feature("protect_counter", 1 / 4, 0, 4, "protecting moves in a row, at most 4"),
    _flag("terastallized", "its types are its tera type's"),
    Feature("stats", 1 / 64, 0, 127, "actual stat / 8, at most 127; own Pokemon only", STATS),
    Feature(
        "offence",
        1 / 16,
        0,
        64,
        "16 x the best of its types on the opposing active; not of a benched opponent",
    ),
    Feature(
        "defence",
        1 / 16,
        0,
        64,
        "16 x the best of the opposing active's types on it; likewise",
    ),
    Feature("faster", 1.0, -1, 1, "sign of its base speed minus the opposing active's; likewise"),
    Feature(
        "matchup",
        1 / 24,
        -127,
        127,
        "24 (offence - defence + 0.1 faster + 0.4 difference in hp); likewise",
    ),
    Feature("level", 1 / 100, 0, 100, ""),
    Feature("base_stats", 1 / 64, 0, 127, "of its species or form, halved", STATS),
    _flag("types", "its types now", TYPES),
)
POKEMON_IDS = (
    ("species", "species"),
    ("ability", "ability"),
    ("item", "item"),
    ("tera_type", "type"),
)

MOVE = (
    _flag("known", "the slot holds a move"),
    _flag("available", "it can be chosen now; the own active's only"),
    _flag("last_used", "the last move its Pokemon used"),
    Feature("pp", 1 / 100, 0, 100, "percent left, as far as known"),
    Feature(
        "effectiveness",
        1 / 16,
        0,
        127,
        "16 x its type's multiplier on the opposing active; an active Pokemon's only",
    ),
    _flag("stab", "it shares its user's type"),
    Feature(
        "damage",
        1 / 64,
        0,
        127,
        "20 log2(1 + d / 16), d = power x stab x stat ratio x accuracy x hits x effectiveness; "
        "likewise",
    ),
    _flag("category", "one-hot", ("PHYSICAL", "SPECIAL", "STATUS")),
    Feature("base_power", 1 / 64, 0, 127, "halved, rounded up; 0: none or variable"),
    Feature("accuracy", 1 / 100, 0, 100, "percent; 100 also for moves that never miss"),
    Feature("priority", 1 / 5, -8, 8, ""),
    Feature("expected_hits", 1 / 10, 0, 60, "10 x the mean number of hits"),
    _flag("pseudo", "struggle, recharge or fight"),
    Feature("self_boosts", 1 / 6, -6, 6, "stages it gives its user, surely", BOOSTS),
    Feature("heal", 1 / 100, 0, 100, "percent of its user's maximum HP"),
    Feature("status", 1 / 100, 0, 100, "percent chance to inflict it when it hits", STATUSES),
)
MOVE_IDS = (("move", "move"), ("type", "type"))


def _size(features: tuple[Feature, ...], ids: tuple[tuple[str, str], ...] = ()) -> int:
    return sum(f.size for f in features) + 2 * len(ids)


GLOBAL_SIZE = _size(GLOBAL)
MOVE_SIZE = _size(MOVE, MOVE_IDS)
POKEMON_SIZE = _size(POKEMON, POKEMON_IDS) + NUM_MOVES * MOVE_SIZE
SIZE = GLOBAL_SIZE + 2 * TEAM_SIZE * POKEMON_SIZE


@functools.cache
def tables() -> dict[str, dict[str, int]]:
    """Return each table's ids by name: species, move, ability, item, type. Ids start at 1."""
    text = resources.files("poke.envs.showdown").joinpath("vocabulary.json").read_text()
    names = {**json.loads(text), "type": TYPES}
    return {table: {name: i + 1 for i, name in enumerate(names[table])} for table in names}


def describe(num_actions: int) -> dict[str, Any]:
    """Return the layout as JSON-able containers, so that a reader needs neither poke-env nor node.

    Args:
        num_actions: of the generation played: 10 to the fifth, 26 in the ninth.
    """
    kinds = ("switch", "move", "mega", "z_move", "dynamax", "tera")
    return {
        "version": VERSION,
        "size": SIZE,
        "num_actions": num_actions,
        "groups": [
            {"name": "global", "kind": "global", "offset": 0, "count": 1, "size": GLOBAL_SIZE},
            _team("own", GLOBAL_SIZE),
            _team("opponent", GLOBAL_SIZE + TEAM_SIZE * POKEMON_SIZE),
        ],
        "kinds": {
            "global": _describe_kind(GLOBAL, ()),
            "pokemon": {
                **_describe_kind(POKEMON, POKEMON_IDS),
                "moves": {
                    "offset": _size(POKEMON, POKEMON_IDS),
                    "count": NUM_MOVES,
                    "size": MOVE_SIZE,
                    **_describe_kind(MOVE, MOVE_IDS),
                },
            },
        },
        "tables": {table: len(ids) + 1 for table, ids in tables().items()},
        # A switch is to the own Pokemon of that slot; the others are the own active's moves.
        "actions": [
            {"name": kind, "offset": offset, "count": TEAM_SIZE if kind == "switch" else NUM_MOVES}
            for kind, offset in zip(kinds, (0, 6, 10, 14, 18, 22), strict=True)
            if offset < num_actions
        ],
    }


def _team(name: str, offset: int) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "pokemon",
        "offset": offset,
        "count": TEAM_SIZE,
        "size": POKEMON_SIZE,
    }


def _describe_kind(
    features: tuple[Feature, ...], ids: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    offset, dense, id_fields = 0, [], []
    for f in features:
        entry = {"name": f.name, "offset": offset, "size": f.size, "scale": f.scale, "low": f.low}
        dense.append({**entry, "high": f.high, "meaning": f.meaning, "parts": list(f.parts)})
        offset += f.size
    for name, table in ids:
        id_fields.append({"name": name, "offset": offset, "table": table, "size_bytes": 2})
        offset += 2
    return {"dense": dense, "ids": id_fields}
