"""Encode what one player may know of a battle into the bytes that `layout` describes.

Everything is read from poke-env's battle object of that player, which is built from the messages
the server sent to it: the opposing side holds what has been revealed and nothing more.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from poke_env.battle import (
    Battle,
    Move,
    Pokemon,
    PokemonType,
    SideCondition,
)
from poke_env.battle.move import SPECIAL_MOVES
from poke_env.battle.side_condition import STACKABLE_CONDITIONS
from poke_env.data import GenData
from poke_env.environment import SinglesEnv

from battles.encode_0_1_0 import layout

_EMPTY_MOVE = bytes(layout.MOVE_SIZE)
_EMPTY_POKEMON = bytes(layout.POKEMON_SIZE)
_POWER_STATS = {"PHYSICAL": ("atk", "def"), "SPECIAL": ("spa", "spd")}


def num_actions(battle_format: str) -> int:
    """Return the size of the action space of a format, in poke-env's SinglesEnv numbering."""
    return SinglesEnv.get_action_space_size(GenData.from_format(battle_format).gen)


def encode(battle: Battle) -> np.ndarray:
    """Return the observation of a battle from its player's side, `[layout.SIZE] int8`.

    Raises:
        struct.error: a value that no byte can hold, which is a bug.
    """
    active = battle.active_pokemon
    opposing_active = battle.opponent_active_pokemon
    own = _Combatant(active) if active else None
    opposing = _Combatant(opposing_active) if opposing_active else None
    switches = {id(pokemon) for pokemon in battle.available_switches}
    choices = {move.id for move in battle.available_moves}
    parts = [_encode_global(battle, own, opposing)]
    for pokemon in list(battle.team.values())[: layout.TEAM_SIZE]:
        chooses = pokemon is active
        moves = selectable_moves(battle) if chooses else _known_moves(pokemon)
        can_switch = id(pokemon) in switches
        parts.append(
            _encode_pokemon(pokemon, opposing, moves, can_switch, choices if chooses else ())
        )
    parts.append(_EMPTY_POKEMON * (1 + layout.TEAM_SIZE - len(parts)))
    opponents = list(battle.opponent_team.values())[: layout.TEAM_SIZE]
    for p in opponents:
        parts.append(_encode_pokemon(p, own if p.active else None, _known_moves(p), False, ()))
    parts.append(_EMPTY_POKEMON * (layout.TEAM_SIZE - len(opponents)))
    return np.frombuffer(b"".join(parts), dtype=np.int8)


def selectable_moves(battle: Battle) -> list[Move]:
    """Return the moves that actions 6 to 9 stand for, in order, as SinglesEnv numbers them.

    They are the active Pokemon's known moves, or the one move it is bound to if none of them.
    """
    assert battle.active_pokemon is not None
    known = _known_moves(battle.active_pokemon)
    available = battle.available_moves
    if len(available) == 1 and available[0].id not in [move.id for move in known]:
        return list(available)
    return known


def _known_moves(pokemon: Pokemon) -> list[Move]:
    return list(pokemon.moves.values())[: layout.NUM_MOVES]


def _encode_global(battle: Battle, own: _Combatant | None, opposing: _Combatant | None) -> bytes:
    opponents = battle.opponent_team.values()
    values = (
        min(battle.turn, 127),
        battle.force_switch,
        battle.trapped,
        battle.maybe_trapped,
        battle.can_mega_evolve,
        battle.can_z_move,
        battle.can_dynamax,
        battle.can_tera,
        *_present(battle.weather, layout.WEATHERS),
        *_present(battle.fields, layout.FIELDS),
        *_layers(battle.side_conditions),
        *_layers(battle.opponent_side_conditions),
        sum(not pokemon.fainted for pokemon in battle.team.values()),
        max(0, layout.TEAM_SIZE - sum(pokemon.fainted for pokemon in opponents)),
        min(layout.TEAM_SIZE, sum(pokemon.revealed for pokemon in opponents)),
        *(_log_ratio(own, opposing, category) for category in _POWER_STATS),
        *(_log_ratio(opposing, own, category) for category in _POWER_STATS),
    )
    return _pack(values)


def _encode_pokemon(
    pokemon: Pokemon,
    rival: _Combatant | None,
    moves: Sequence[Move],
    can_switch: bool,
    choices: Collection[str],
) -> bytes:
    """Encode one Pokemon.

    Args:
        pokemon: whose.
        rival: the other side's active Pokemon, against which it is measured.
        moves: its known moves, at most 4.
        can_switch: whether switching to it is legal.
        choices: ids of the moves that can be chosen now.
    """
    this = _Combatant(pokemon)
    target = rival if pokemon.active else None
    offence, defence, faster, matchup = _confront(this, rival) if rival else (0.0, 0.0, 0, 0.0)
    boosts, stats = pokemon.boosts, pokemon.stats
    dynamic = _pack(
        (
            1,
            bool(pokemon.active),
            pokemon.fainted,
            pokemon.revealed,
            can_switch,
            _percent(this.hp_fraction),
            *_one_hot(layout.STATUSES, pokemon.status.name if pokemon.status else ""),
            min(pokemon.status_counter, 15),
            *[boosts[name] for name in layout.BOOSTS],
            *_present(pokemon.effects, layout.EFFECTS),
            pokemon.must_recharge,
            pokemon.preparing,
            pokemon.first_turn,
            min(pokemon.protect_counter, 4),
            pokemon.is_terastallized,
            *[min(127, (stats.get(name) or 0) // 8) for name in layout.STATS],
            round(16 * offence),
            round(16 * defence),
            faster,
            _clamp(24 * matchup),
            min(100, pokemon.level),
        )
    )
    base_stats = tuple(this.base_stats[name] for name in layout.STATS)
    tera = pokemon.tera_type.name if pokemon.tera_type else ""
    return b"".join(
        [
            dynamic,
            _base_stats_and_types(base_stats, this.types),
            # An item that is known to be none is not an item that is unknown.
            _pokemon_ids(pokemon.species, pokemon.ability or "", pokemon.item or "noitem", tera),
            *[_encode_move(move, this, target, move.id in choices) for move in moves],
            _EMPTY_MOVE * (layout.NUM_MOVES - len(moves)),
        ]
    )


def _encode_move(move: Move, user: _Combatant, rival: _Combatant | None, available: bool) -> bytes:
    fixed = _fixed_move(move.id, move.gen)
    stab = fixed.type in user.types
    effectiveness = _effectiveness(fixed.type, rival.types, user.gen) if rival else 0.0
    damage = 0.0
    if rival and fixed.mean_power:
        damage = fixed.mean_power * effectiveness * (1.5 if stab else 1.0)
        damage *= user.attack_ratio(rival, fixed.category)
    values = (
        1,
        available,
        move.is_last_used,
        _percent(min(1.0, move.current_pp / fixed.max_pp)),
        _clamp(16 * effectiveness),
        stab,
        _clamp(20 * math.log2(1 + damage / 16)),
    )
    return _pack(values) + fixed.encoded


class _Combatant:
    """A Pokemon with what is asked of it many times an observation."""

    __slots__ = ("base_stats", "boosts", "gen", "hp_fraction", "types")

    def __init__(self, pokemon: Pokemon) -> None:
        self.types = tuple(pokemon.types)
        self.base_stats = pokemon.base_stats
        self.boosts = pokemon.boosts
        self.gen = pokemon.gen
        max_hp = pokemon.max_hp
        self.hp_fraction = min(1.0, pokemon.current_hp / max_hp) if max_hp else 0.0

    def attack_ratio(self, defender: _Combatant, category: str) -> float:
        """Return its attacking stat over the defender's defending stat, both estimated."""
        attack, defence = _POWER_STATS[category]
        return self._estimate(attack) / defender._estimate(defence)

    def _estimate(self, stat: str) -> float:
        """Estimate a stat from species and boosts alone: 2 base + 36 is full IVs and no EVs."""
        stages = self.boosts[stat]
        return (2 * self.base_stats[stat] + 36) * (
            (2 + stages) / 2 if stages > 0 else 2 / (2 - stages)
        )


@dataclass(frozen=True)
class _FixedMove:
    """What of a move never changes.

    Args:
        type: its own.
        category: `PHYSICAL`, `SPECIAL` or `STATUS`.
        mean_power: base power x accuracy x mean number of hits.
        max_pp: at least 1.
        encoded: the part of its bytes that depends on nothing else.
    """

    type: PokemonType
    category: str
    mean_power: float
    max_pp: int
    encoded: bytes


@functools.cache
def _fixed_move(move_id: str, gen: int) -> _FixedMove:
    move = Move(move_id, gen)
    chances = dict.fromkeys(layout.STATUSES, 0)
    if move.status is not None:
        chances[move.status.name] = 100
    for effect in move.secondary:
        if effect and "status" in effect:
            chances[effect["status"].upper()] = min(100, int(effect.get("chance", 100)))
    target_self = move.entry.get("target") == "self"
    boosts = {**((move.boosts or {}) if target_self else {}), **(move.self_boost or {})}
    encoded = _pack(
        (
            *_one_hot(("PHYSICAL", "SPECIAL", "STATUS"), move.category.name),
            min(127, math.ceil(move.base_power / 2)),
            min(100, round(100 * move.accuracy)),
            move.entry.get("priority", 0),  # recharge and fight are in no dex
            min(60, round(10 * move.expected_hits)),
            move_id in SPECIAL_MOVES,
            *[boosts.get(name, 0) for name in layout.BOOSTS],
            min(100, round(100 * move.heal)),
            *chances.values(),
        )
    ) + _ids(("move", move_id), ("type", move.type.name))
    mean_power = move.base_power * move.accuracy * move.expected_hits
    return _FixedMove(move.type, move.category.name, mean_power, max(1, move.max_pp), encoded)


def _confront(this: _Combatant, rival: _Combatant) -> tuple[float, float, int, float]:
    """Return offence, defence, faster and matchup, as `layout` defines them."""
    offence = min(4.0, max(_effectiveness(t, rival.types, this.gen) for t in this.types))
    defence = min(4.0, max(_effectiveness(t, this.types, this.gen) for t in rival.types))
    speed = this.base_stats["spe"] - rival.base_stats["spe"]
    faster = (speed > 0) - (speed < 0)
    matchup = offence - defence + 0.1 * faster + 0.4 * (this.hp_fraction - rival.hp_fraction)
    return offence, defence, faster, matchup


@functools.cache
def _effectiveness(attack: PokemonType, defenders: tuple[PokemonType, ...], gen: int) -> float:
    chart = GenData.from_gen(gen).type_chart
    return math.prod(attack.damage_multiplier(d, type_chart=chart) for d in defenders)


def _log_ratio(attacker: _Combatant | None, defender: _Combatant | None, category: str) -> int:
    if attacker is None or defender is None:
        return 0
    return _clamp(16 * math.log2(attacker.attack_ratio(defender, category)))


def _present(members: Mapping[Any, int], names: tuple[str, ...]) -> Sequence[int]:
    if not members:
        return _one_hot(names, "")
    present = {member.name for member in members}
    return [name in present for name in names]


@functools.cache
def _one_hot(names: tuple[str, ...], name: str) -> tuple[int, ...]:
    return tuple([int(n == name) for n in names])


def _layers(conditions: Mapping[SideCondition, int]) -> Sequence[int]:
    # For a condition without layers poke-env keeps the turn it began.
    counts = {c.name: min(3, n) if c in STACKABLE_CONDITIONS else 1 for c, n in conditions.items()}
    return [counts.get(name, 0) for name in layout.SIDE_CONDITIONS]


def _percent(fraction: float) -> int:
    """Round to percent such that only none is 0 and only all is 100."""
    return int(100 * fraction) if fraction in (0, 1) else max(1, min(99, round(100 * fraction)))


def _clamp(value: float) -> int:
    return max(-127, min(127, round(value)))


@functools.cache
def _base_stats_and_types(base_stats: tuple[int, ...], types: tuple[PokemonType, ...]) -> bytes:
    names = {t.name for t in types}
    return _pack(
        [*(min(127, s // 2) for s in base_stats), *(name in names for name in layout.TYPES)]
    )


@functools.cache
def _pokemon_ids(species: str, ability: str, item: str, tera: str) -> bytes:
    return _ids(("species", species), ("ability", ability), ("item", item), ("type", tera))


def _ids(*names: tuple[str, str]) -> bytes:
    tables = layout.tables()
    return struct.pack(f"<{len(names)}H", *[tables[table].get(name, 0) for table, name in names])


def _pack(values: Sequence[Any]) -> bytes:
    return struct.pack(f"{len(values)}b", *values)
