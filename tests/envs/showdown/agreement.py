"""Do the worker's scripted players decide as poke-env's, and where not, why.

Each position is put to poke-env twice: to its own `Battle`, which has read the same lines and request, and to one that
sees what the worker's tracker sees. The second must decide the same everywhere: it is poke-env's rules that are
asked. Where the first decides otherwise it must see something else; what, is told.
"""

import json
import logging
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from poke_env.battle import Battle, Move, PokemonType, SideCondition
from poke_env.data import GenData
from poke_env.player import MaxBasePowerPlayer, SimpleHeuristicsPlayer

from poke.envs.showdown.installation import find_node, find_package

PLAYERS = ("simple_heuristics", "max_base_power")
_SCRIPT = Path(__file__).parent / "opponents" / "positions.js"
_STATS = ("atk", "def", "spa", "spd")
_NOT_PARSED = {"t:", "expire", "uhtmlchange", "win", "tie", "error", "bigerror", "request"}
_RANDOM = "any"
Position = dict[str, Any]


def positions(battle_format: str, count: int, seed: int) -> Iterator[Position]:
    """Yield positions of battles between the worker's players."""
    command = [find_node(), _SCRIPT, find_package(), battle_format, str(seed), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    assert process.returncode == 0


def type_of(name: str) -> PokemonType:
    return PokemonType.from_name(name)


class SeenPokemon:
    """A Pokemon as the worker sees it, with what poke-env's players ask of one."""

    def __init__(self, seen: dict[str, Any], gen: int) -> None:
        self.gen = gen
        self.types = [type_of(name) for name in seen["types"]]
        self.base_stats = seen["base"]
        self.current_hp_fraction = seen["hp"]
        self.fainted = seen["fainted"]
        self.boosts = seen["boosts"]
        self.stats: dict[str, int] = {}
        self.tera_type: PokemonType | None = None

    def damage_multiplier(self, type_or_move: PokemonType | Move) -> float:
        attacking = type_or_move if isinstance(type_or_move, PokemonType) else type_or_move.type
        product = 1.0
        for one in self.types:
            chart = GenData.from_gen(self.gen).type_chart
            product *= attacking.damage_multiplier(one, type_chart=chart)
        return product


def seen_battle(sees: dict[str, Any], gen: int) -> SimpleNamespace:
    """Return a battle as the worker sees it, with what poke-env's players ask of one."""
    team = [SeenPokemon(one, gen) for one in sees["team"]]
    active = team[sees["active"]]
    active.stats = sees["stats"]
    active.tera_type = type_of(sees["tera"]) if sees["tera"] else None
    raw = {Move.retrieve_id(name): name for name in sees["named"]}
    moves = [Move(name, gen, raw_id=raw.get(name)) for name in sees["moves"]]
    return SimpleNamespace(
        gen=gen,
        active_pokemon=active,
        opponent_active_pokemon=SeenPokemon(sees["foe"], gen) if sees["foe"] else None,
        team=dict(enumerate(team)),
        opponent_team={i: SimpleNamespace(fainted=i < sees["foesFainted"]) for i in range(6)},
        available_moves=[move.dynamaxed for move in moves] if sees["isDynamaxed"] else moves,
        available_switches=[team[slot] for slot in sees["switches"]],
        side_conditions=sees["conditions"],
        opponent_side_conditions=[SideCondition.from_data(name) for name in sees["foeConditions"]],
        can_dynamax=sees["canDynamax"],
        can_tera=sees["canTera"],
    )


def decide(player: str, battle: Any, request: Position) -> str:
    """Return what poke-env's player chooses, as the simulator takes it; "any" where it draws."""
    moves, switches = battle.available_moves, battle.available_switches
    if player == "max_base_power":
        if not moves:
            return _RANDOM
        order = MaxBasePowerPlayer.choose_singles_move(battle)
    else:
        both = battle.active_pokemon is not None and battle.opponent_active_pokemon is not None
        if not both or not (moves or switches):
            return _RANDOM
        order = SimpleHeuristicsPlayer.choose_singles_move(battle)[0]
    for i, pokemon in enumerate(switches):
        if order.order is pokemon:
            return f"switch {_switch_slots(request)[i] + 1}"
    place = next(i for i, move in enumerate(moves) if order.order is move)
    slots = [i for i, move in enumerate(request["active"][0]["moves"]) if not move.get("disabled")]
    chosen = f"move {slots[place] + 1}"
    return chosen + (" dynamax" if order.dynamax else " terastallize" if order.terastallize else "")


def _switch_slots(request: Position) -> list[int]:
    entries = request["side"]["pokemon"]
    down = [entry["condition"].endswith(" fnt") for entry in entries]
    if any(entry.get("reviving") for entry in entries):
        return [i for i, is_down in enumerate(down) if is_down]
    return [i for i, entry in enumerate(entries) if not entry["active"] and not down[i]]


class PokeEnv:
    """poke-env's own battles, each read by one player."""

    def __init__(self, gen: int) -> None:
        self.gen = gen
        self.battles: dict[tuple[int, str], Battle] = {}

    def read(self, position: Position) -> Battle:
        key = position["battle"], position["player"]
        if key not in self.battles:
            logger = logging.getLogger("poke-env")
            logger.setLevel(logging.CRITICAL)
            self.battles[key] = Battle("battle-1", position["player"], logger, gen=self.gen)
            self.battles[key]._player_role = position["player"]
        battle = self.battles[key]
        for line in position["lines"]:
            parts = line.split("|")
            if len(parts) > 1 and parts[1] not in _NOT_PARSED:
                battle.parse_message(parts)
        battle.parse_request(position["request"])
        return battle


def differences(battle: Battle, sees: dict[str, Any], request: Position) -> list[str]:
    """Name what poke-env's Battle sees otherwise than the worker, of what its players look at."""
    found = []
    own = [battle.team[entry["ident"]] for entry in request["side"]["pokemon"]]
    for mine, pokemon in zip(sees["team"], own, strict=True):
        found += [f"own {name}" for name in _differences(mine, pokemon)]
    active, foe = battle.active_pokemon, battle.opponent_active_pokemon
    if active is not own[sees["active"]]:
        found.append("who is active")
    else:
        mine = sees["team"][sees["active"]]
        if {stat: active.boosts[stat] for stat in _STATS} != mine["boosts"]:
            found.append("own stages")
        known = active.tera_type.name if active.tera_type else ""
        if sees["canTera"] and known != sees["tera"].upper():
            found.append("own tera type")
        if active.is_dynamaxed != sees["isDynamaxed"]:
            found.append("dynamaxed")
    if (foe is None) != (sees["foe"] is None):
        found.append("whether a foe is there")
    elif foe is not None:
        found += [f"foe's {name}" for name in _differences(sees["foe"], foe)]
        if {stat: foe.boosts[stat] for stat in _STATS} != sees["foe"]["boosts"]:
            found.append("foe's stages")
    if sum(pokemon.fainted for pokemon in battle.opponent_team.values()) != sees["foesFainted"]:
        found.append("number of fainted foes")
    if len(battle.available_switches) != len(sees["switches"]):
        found.append("switches")
    if len(battle.available_moves) != len(sees["moves"]):
        found.append("moves")
    if bool(battle.side_conditions) != bool(sees["conditions"]):
        found.append("own side's conditions")
    hazards = SimpleHeuristicsPlayer.ENTRY_HAZARDS
    theirs = {name for name, hazard in hazards.items() if hazard in battle.opponent_side_conditions}
    if theirs != set(sees["foeConditions"]) & set(hazards):
        found.append("hazards before the foe")
    return sorted(set(found))


def _differences(seen: dict[str, Any], pokemon: Any) -> list[str]:
    found = []
    if sorted(one.name for one in pokemon.types) != sorted(type_of(t).name for t in seen["types"]):
        found.append("types")
    if pokemon.base_stats != seen["base"]:
        found.append("species")
    if pokemon.current_hp_fraction != seen["hp"]:
        found.append("health")
    if bool(pokemon.fainted) != seen["fainted"]:
        found.append("fainting")
    return found


@dataclass
class Agreement:
    """How often a worker's player decides as poke-env's.

    Args:
        positions: compared; those where poke-env's player draws are not.
        seeing: equal to poke-env's rules on what the worker sees.
        own_eyes: equal to poke-env's player on its own Battle.
        misled: positions where its Battle sees anything otherwise, whatever it decided.
        reasons: what its Battle saw otherwise where it decided otherwise.
        unexplained: positions where its rules, or it with the same sight, decided otherwise.
    """

    positions: int = 0
    seeing: int = 0
    own_eyes: int = 0
    misled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unexplained: list[Position] = field(default_factory=list)


def compare(battle_format: str, count: int, seed: int) -> dict[str, Agreement]:
    """Compare `count` positions of a format; return what was found by player."""
    gen = int(battle_format[3])
    eyes, found = PokeEnv(gen), {player: Agreement() for player in PLAYERS}
    broken: dict[tuple[int, str], str] = {}
    for position in positions(battle_format, count, seed):
        key = position["battle"], position["player"]
        battle = None
        if key not in broken:
            try:
                battle = eyes.read(position)
            except Exception as error:
                broken[key] = f"{type(error).__name__} while reading"
        for player, agreement in found.items():
            _compare(agreement, player, position, gen, battle, broken.get(key, ""))
    return found


def _compare(agreement, player, position, gen, battle, error) -> None:
    request, sees = position["request"], position["sees"]
    ours = position["choices"][player]
    theirs = decide(player, seen_battle(sees, gen), request)
    if theirs == _RANDOM:
        return
    agreement.positions += 1
    agreement.seeing += ours == theirs
    if ours != theirs:
        agreement.unexplained.append({**position, "player": player, "theirs": theirs})
    choice, reasons = _with_own_eyes(player, battle, position) if battle else ("", [error])
    agreement.misled += bool(reasons)
    if choice == ours:
        agreement.own_eyes += 1
        return
    agreement.reasons[", ".join(reasons) or "nothing"] += 1
    if not reasons and ours == theirs:
        agreement.unexplained.append({**position, "player": player, "theirs": choice})


def _with_own_eyes(player: str, battle: Battle, position: Position) -> tuple[str, list[str]]:
    """Return poke-env's choice on its own Battle, and what this sees otherwise."""
    request, sees = position["request"], position["sees"]
    try:
        return decide(player, battle, request), differences(battle, sees, request)
    except Exception as raised:
        return "", [f"{type(raised).__name__} while choosing"]
