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
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

VERSION = 2
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
    "AQUA_RING", "ATTRACT", "BIDE", "CONFUSION", "CURSE", "DISABLE", "DYNAMAX", "ENCORE",
    "FOCUS_ENERGY", "HEAL_BLOCK", "INGRAIN", "LEECH_SEED", "LIGHT_SCREEN", "LOCKED_MOVE",
    "MAGNET_RISE", "MIST", "NIGHTMARE", "PARTIALLY_TRAPPED", "PERISH1", "PERISH2", "PERISH3",
    "PROTECT", "REFLECT", "SALT_CURE", "SUBSTITUTE", "TAUNT", "THROAT_CHOP", "TORMENT",
    "TRANSFORM", "TRAPPED", "TYPECHANGE", "YAWN",
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
    _flag("active", "it stands in battle, or fainted there and is not replaced yet"),
    _flag("fainted", "it has fainted"),
    _flag("revealed", "it has been in battle, not only an Illusion of it that has ended"),
    _flag("available", "switching to it is legal now; own Pokemon only"),
    Feature(
        "hp",
        1 / 100,
        0,
        100,
        "percent of its maximum, of others as last shown; only full is 100, only fainted 0",
    ),
    Feature("status", 1.0, 0, 1, "one-hot", STATUSES),
    Feature(
        "status_counter",
        1 / 8,
        0,
        15,
        "asleep: turns slept, two each with an Early Bird that is known, less what gens 3 and 5 take "
        "back on leaving; badly poisoned: sixteenths the last poison took, 0 on the bench",
    ),
    Feature("boosts", 1 / 6, -6, 6, "stages; 0 on the bench", BOOSTS),
    _flag(
        "effects",
        "which are on it as far as told; LOCKED_MOVE: on a rampage such as Outrage; "
        "PARTIALLY_TRAPPED in gen 1: bound last turn and perhaps still; PROTECT: this turn; "
        "TYPECHANGE: its types are neither its species' nor its tera type",
        EFFECTS,
    ),
    _flag("must_recharge", "it has to recharge; of others as told"),
    _flag("preparing", "it has begun a two-turn move and not made it"),
    _flag("first_turn", "at most one turn has begun since it came in; active only"),
    Feature("protect_counter", 1 / 4, 0, 4, "protecting moves in a row that worked, at most 4"),
    _flag("terastallized", "it has terastallized"),
    Feature(
        "stats",
        1 / 64,
        0,
        127,
        "maximum HP as last told and stats as requests tell (no boosts, no Transform) / 8; own only",
        STATS,
    ),
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
    Feature("base_stats", 1 / 64, 0, 127, "of what it is or has become, halved", STATS),
    _flag("types", "its types now", TYPES),
)
POKEMON_IDS = (
    # As shown: its form, what Transform made of it, what an Illusion seems to be.
    ("species", "species"),
    # As told, a changed one included; 0 also where gens 3 to 6 do not tell what was got by Skill Swap.
    ("ability", "ability"),
    ("item", "item"),
    ("tera_type", "type"),
)

MOVE = (
    _flag("known", "the slot holds a move"),
    _flag("available", "it can be chosen now; the own active's only"),
    _flag("last_used", "the last move of its own that it used since it came in"),
    Feature(
        "pp",
        1 / 100,
        0,
        100,
        "percent left of its maximum with three PP Ups, of what Transform copied of 5; own: as last told "
        "and used since; others': uses seen, Z- and max moves only where their base is certain",
    ),
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


# In which generations a feature, or one part of it, can be anything but 0; all of them if not here.
# fmt: off
_GENERATIONS = {
    "can_mega_evolve": (6, 9), "can_z_move": (7, 9), "can_dynamax": (8, 8), "can_tera": (9, 9),
    "terastallized": (9, 9), "tera_type": (9, 9), "item": (2, 9), "ability": (3, 9),
    "weather": (2, 9), "weather.HAIL": (3, 9), "weather.SNOWSCAPE": (9, 9),
    "weather.DELTASTREAM": (6, 9), "weather.DESOLATELAND": (6, 9), "weather.PRIMORDIALSEA": (6, 9),
    "field": (4, 9), "field.ELECTRIC_TERRAIN": (6, 9), "field.GRASSY_TERRAIN": (6, 9),
    "field.MISTY_TERRAIN": (6, 9), "field.PSYCHIC_TERRAIN": (7, 9), "field.MAGIC_ROOM": (5, 9),
    "field.WONDER_ROOM": (5, 9),
    **{f"{side}.{name}": (first, 9) for side in ("own_side", "opponent_side") for name, first in {
        "AURORA_VEIL": 7, "LIGHT_SCREEN": 2, "MIST": 3, "REFLECT": 2, "SAFEGUARD": 2, "SPIKES": 2,
        "STEALTH_ROCK": 4, "STICKY_WEB": 6, "TAILWIND": 4, "TOXIC_SPIKES": 4,
    }.items()},
    **{f"effects.{name}": (first, 9) for name, first in {
        "AQUA_RING": 4, "ATTRACT": 2, "CURSE": 2, "ENCORE": 2, "HEAL_BLOCK": 4, "INGRAIN": 3,
        "MAGNET_RISE": 4, "NIGHTMARE": 2, "PERISH1": 2, "PERISH2": 2, "PERISH3": 2, "PROTECT": 2,
        "SALT_CURE": 9, "TAUNT": 3, "THROAT_CHOP": 7, "TORMENT": 3, "TRAPPED": 2, "YAWN": 3,
    }.items()},
    "effects.DYNAMAX": (8, 8), "effects.LIGHT_SCREEN": (1, 1), "effects.REFLECT": (1, 1),
    "effects.MIST": (1, 2), "protect_counter": (2, 9),
    "types.DARK": (2, 9), "types.STEEL": (2, 9), "types.FAIRY": (6, 9), "types.STELLAR": (9, 9),
    "types.THREE_QUESTION_MARKS": (2, 9),
}
# fmt: on


def _size(features: tuple[Feature, ...], ids: tuple[tuple[str, str], ...] = ()) -> int:
    return sum(f.size for f in features) + 2 * len(ids)


GLOBAL_SIZE = _size(GLOBAL)
MOVE_SIZE = _size(MOVE, MOVE_IDS)
POKEMON_SIZE = _size(POKEMON, POKEMON_IDS) + NUM_MOVES * MOVE_SIZE
SIZE = GLOBAL_SIZE + 2 * TEAM_SIZE * POKEMON_SIZE


@functools.cache
def tables() -> dict[str, dict[str, int]]:
    """Return each table's ids by name: species, move, ability, item, type. Ids start at 1."""
    text = resources.files(__package__).joinpath("vocabulary.json").read_text()
    names = {**json.loads(text), "type": TYPES}
    return {table: {name: i + 1 for i, name in enumerate(names[table])} for table in names}


def num_actions(generation: int) -> int:
    """Return how many actions a generation has: 6 switches, 4 moves, 4 more with each gimmick.

    Raises:
        ValueError: a generation that does not exist.
    """
    if not 1 <= generation <= 9:
        raise ValueError(f"there is no generation {generation} (choose 1 to 9)")
    return 10 + 4 * max(0, generation - 5)


def outdated(described: Mapping[str, Any] | None) -> str:
    """Return how observations of an older or newer layout than this one are called, '' for all others.

    Args:
        described: as `describe` returned it at the time; None or something else for what are no battles.
    """
    if not described or "groups" not in described or described.get("version") == VERSION:
        return ""
    return f"layout {described.get('version')}, and this poke shows them in layout {VERSION}"


def describe(generation: int) -> dict[str, Any]:
    """Return the layout as JSON-able containers, so that a reader needs neither poke-env nor node.

    Each kind says in ``constant`` which of an entity's bytes are 0 in that generation whatever happens,
    so that a network can leave them out.

    Args:
        generation: 1 to 9.

    Raises:
        ValueError: another generation.
    """
    actions = num_actions(generation)
    kinds = ("switch", "move", "mega", "z_move", "dynamax", "tera")
    return {
        "version": VERSION,
        "size": SIZE,
        "generation": generation,
        "num_actions": actions,
        "groups": [
            {"name": "global", "kind": "global", "offset": 0, "count": 1, "size": GLOBAL_SIZE},
            _team("own", GLOBAL_SIZE),
            _team("opponent", GLOBAL_SIZE + TEAM_SIZE * POKEMON_SIZE),
        ],
        "kinds": {
            "global": _describe_kind(GLOBAL, (), generation),
            "pokemon": {
                **_describe_kind(POKEMON, POKEMON_IDS, generation),
                "moves": {
                    "offset": _size(POKEMON, POKEMON_IDS),
                    "count": NUM_MOVES,
                    "size": MOVE_SIZE,
                    **_describe_kind(MOVE, MOVE_IDS, generation),
                },
            },
        },
        "tables": {table: len(ids) + 1 for table, ids in tables().items()},
        # A switch is to the own Pokemon of that slot; the others are the own active's moves.
        "actions": [
            {"name": kind, "offset": offset, "count": TEAM_SIZE if kind == "switch" else NUM_MOVES}
            for kind, offset in zip(kinds, (0, 6, 10, 14, 18, 22), strict=True)
            if offset < actions
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
    features: tuple[Feature, ...], ids: tuple[tuple[str, str], ...], generation: int
) -> dict[str, Any]:
    offset, dense, id_fields = 0, [], []
    constant: list[int] = []
    for f in features:
        entry = {"name": f.name, "offset": offset, "size": f.size, "scale": f.scale, "low": f.low}
        dense.append({**entry, "high": f.high, "meaning": f.meaning, "parts": list(f.parts)})
        for i, part in enumerate(f.parts or ("",)):
            if not (_exists(f.name, generation) and _exists(f"{f.name}.{part}", generation)):
                constant.append(offset + i)
        offset += f.size
    for name, table in ids:
        id_fields.append({"name": name, "offset": offset, "table": table, "size_bytes": 2})
        if not _exists(name, generation):
            constant += [offset, offset + 1]
        offset += 2
    return {"dense": dense, "ids": id_fields, "constant": constant}


def _exists(name: str, generation: int) -> bool:
    first, last = _GENERATIONS.get(name, (1, 9))
    return first <= generation <= last
