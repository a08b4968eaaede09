'use strict';
// What lines do to a Pokemon beyond its health and stages. Ids of volatile effects are the simulator's.

const { toID, effectID } = require('./tables');
const { MoveSlot } = require('./pokemon');

const ONE_TURN = ['protect', 'roost'];
const SHIELDS = new Set([
  'protect', 'detect', 'maxguard', 'kingsshield', 'spikyshield', 'banefulbunker', 'obstruct', 'silktrap',
  'burningbulwark',
]);
const BINDS_ONE = 5; // gen 1: a binding move hits at most so often in a row

// ---- abilities and items

/** It has shown an ability that is its own, unless it has another one for now. */
function showAbility(pokemon, id) {
  if (pokemon.ability === id) return;
  if (pokemon.ability === pokemon.baseAbility) pokemon.baseAbility = id;
  pokemon.ability = id;
  pokemon.touch();
}

function showItem(pokemon, id) {
  if (pokemon.key === '' && pokemon.item !== id) pokemon.item = id;
  pokemon.touch();
}

/** |-ability|: announced, or got from elsewhere. */
function getAbility(tracker, pokemon, id, from, of) {
  if (!from) {
    showAbility(pokemon, id);
    return;
  }
  if (from.startsWith('ability: ')) showAbility(pokemon, effectID(from)); // Trace
  const giver = of ? tracker.at(of) : null;
  if (giver && giver !== pokemon && from.startsWith('ability: ')) showAbility(giver, id);
  pokemon.ability = id;
}

function loseAbility(pokemon, id) {
  if (id) showAbility(pokemon, id);
  pokemon.volatiles.set('gastroacid', true);
}

/** |-item|: shown, or got from elsewhere. */
function getItem(tracker, pokemon, id, from, of) {
  if (pokemon.key === '') pokemon.item = id;
  const giver = of ? tracker.at(of) : null;
  const cause = from ? effectID(from) : '';
  if (from.startsWith('ability: ')) {
    const owner = cause === 'frisk' || cause === 'symbiosis' ? giver : pokemon;
    if (owner) showAbility(owner, cause);
  }
  const isTaken = ['thief', 'covet', 'pickpocket', 'magician', 'bestow', 'symbiosis'].includes(cause);
  if (isTaken && giver && giver !== pokemon && giver.key === '') giver.item = 'noitem';
}

function loseItem(tracker, pokemon, id) {
  if (pokemon.key === '') pokemon.item = 'noitem';
}

/** How much more a move costs: one for a Pressure that is known. */
function pressure(tracker, pokemon, move, reachesNoFoe) {
  const foe = tracker.foeOf(tracker.own.active === pokemon ? tracker.own : tracker.opponent).active;
  if (!foe || foe.fainted || foe.ability !== 'pressure' || foe.has('gastroacid')) return 0;
  if (reachesNoFoe.has(move.entry.target) && !move.entry.flags.mustpressure) return 0;
  return 1;
}

// ---- volatile effects

function start(tracker, pokemon, parts, of) {
  const text = parts[3];
  const id = effectID(text);
  const { volatiles } = pokemon;
  if (text.startsWith('ability: ')) showAbility(pokemon, id);
  if (id === 'typechange') {
    changeTypes(tracker, pokemon, parts, of);
  } else if (id === 'typeadd') {
    pokemon.addedType = parts[4];
    pokemon.retype();
  } else if (id.startsWith('perish')) {
    volatiles.set('perishsong', +id.slice(6));
  } else if (id === 'mimic') {
    mimic(tracker, pokemon, toID(parts[4]));
  } else {
    volatiles.set(id, parts[4] && !parts[4].startsWith('[') ? toID(parts[4]) : true);
  }
  // A rampage ends in confusion.
  if (id === 'confusion' && (parts.includes('[fatigue]') || (tracker.gen <= 2 && parts.includes('[silent]')))) {
    volatiles.delete('lockedmove');
  }
}

function changeTypes(tracker, pokemon, parts, of) {
  const model = of && (!parts[4] || parts[4].startsWith('[')) ? tracker.at(of) : null;
  if (model) {
    pokemon.changedTypes = model.changedTypes || model.species.types;
    pokemon.addedType = model.addedType;
  } else {
    pokemon.changedTypes = tracker.tables.types(parts[4].split('/'));
    pokemon.addedType = '';
  }
  pokemon.retype();
}

/** Its Mimic is another move until it leaves. */
function mimic(tracker, pokemon, id) {
  pokemon.volatiles.set('mimic', id);
  if (pokemon.key !== '' || pokemon.findMove(id)) return;
  const move = tracker.tables.move(id);
  pokemon.moves = pokemon.moves.map(slot => {
    if (slot.move.id !== 'mimic') return slot;
    return tracker.gen === 1 ? new MoveSlot(move, slot.pp) : new MoveSlot(move, Math.min(5, move.entry.pp));
  });
}

function end(tracker, pokemon, id, isBinding) {
  const { volatiles } = pokemon;
  if (isBinding) volatiles.delete('partiallytrapped');
  if (id === 'typechange' || id === 'typeadd') {
    if (id === 'typechange') pokemon.changedTypes = null;
    else pokemon.addedType = '';
    pokemon.retype();
  }
  if (id.startsWith('stockpile')) for (const i of [1, 2, 3]) volatiles.delete(`stockpile${i}`);
  if (id === 'toxiccounter') pokemon.statusCounter = 0;
  volatiles.delete(id);
}

function activate(tracker, pokemon, parts, of) {
  const text = parts[3];
  const id = effectID(text);
  if (text.startsWith('ability: ')) showAbility(pokemon, id);
  if (id === 'trapped') pokemon.volatiles.set('trapped', true);
  const move = text.startsWith('move: ') ? tracker.tables.move(id) : null;
  if (move && move.entry.volatileStatus === 'partiallytrapped') pokemon.volatiles.set('partiallytrapped', id);
  const act = ACTIVATIONS[id];
  if (act) act(tracker, pokemon, parts, of);
}

const ACTIVATIONS = {
  __proto__: null,
  leppaberry: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), 10),
  mysteryberry: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), 5),
  spite: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -parts[5]),
  eeriespell: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -parts[5]),
  gmaxdepletion: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -parts[5]),
  grudge: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -64),
  mimic: (tracker, pokemon, parts) => mimic(tracker, pokemon, toID(parts[4])),
  skillswap(tracker, pokemon, parts, of) {
    const other = of ? tracker.at(of) : null;
    if (!other) return;
    const [first, second] = [parts[4], parts[5]];
    if (first && second && !first.startsWith('[') && !second.startsWith('[')) {
      pokemon.ability = effectID(first);
      other.ability = effectID(second);
    } else {
      [pokemon.ability, other.ability] = [other.ability, pokemon.ability];
    }
  },
};

function restore(pokemon, id, amount) {
  const slot = pokemon.revealMove(id);
  if (slot) slot.pp = Math.max(0, Math.min(slot.maxpp, slot.pp + amount));
}

function singleTurn(tracker, pokemon, id) {
  if (SHIELDS.has(id)) pokemon.volatiles.set('protect', true);
  if (id === 'roost') loseFlying(tracker, pokemon);
  const move = tracker.tables.move(id);
  if (move.entry.stallingMove) {
    pokemon.stall = Math.min(4, pokemon.stall + 1);
    pokemon.stallLeft = 2;
  }
}

/** Roost: no Flying type until the turn's end. */
function loseFlying(tracker, pokemon) {
  const names = pokemon.types.names.filter(name => name !== 'Flying');
  if (names.length === pokemon.types.names.length) return;
  pokemon.volatiles.set('roost', true);
  pokemon.types = tracker.tables.types(names.length ? names : [tracker.gen >= 5 ? 'Normal' : '???']);
}

function transform(tracker, pokemon, model) {
  pokemon.transformed = true;
  pokemon.species = model.species;
  pokemon.changedTypes = model.changedTypes;
  pokemon.addedType = model.addedType;
  pokemon.retype();
  pokemon.boosts.set(model.boosts);
  if (tracker.gen > 2) pokemon.ability = model.ability;
  pokemon.volatiles.set('transform', true);
  pokemon.moves = model.moves.map(({ move }) => MoveSlot.copied(move));
}

// ---- moving

function moved(tracker, pokemon, move, isContinued, isCalled) {
  const { volatiles } = pokemon;
  const foe = tracker.foeOf(pokemon === tracker.own.active ? tracker.own : tracker.opponent).active;
  if (tracker.gen === 1) {
    if (isBinding(move)) {
      if (foe) foe.mustRecharge = false; // even if it misses
      volatiles.set('binding', isContinued ? (volatiles.get('binding') || 0) + 1 : 1);
      if (foe && volatiles.get('binding') < BINDS_ONE) foe.volatiles.set('partiallytrapped', 2);
    } else {
      volatiles.delete('binding');
    }
    if (move.entry.self && move.entry.self.volatileStatus === 'lockedmove') volatiles.set('lockedmove', true);
  }
}

const isBinding = move => move.entry.self && move.entry.self.volatileStatus === 'partialtrappinglock';

function fail(tracker, pokemon) {
  if (tracker.gen === 1) {
    const foe = tracker.foeOf(pokemon === tracker.own.active ? tracker.own : tracker.opponent).active;
    if (pokemon.has('binding') && foe) unbind(pokemon, foe);
  }
}

/** Gen 1: a binding move that missed holds nobody; what an earlier hit left runs out by itself. */
function unbind(pokemon, foe) {
  const hits = pokemon.volatiles.get('binding');
  pokemon.volatiles.delete('binding');
  if (hits === 1) foe.volatiles.delete('partiallytrapped');
  else foe.volatiles.set('partiallytrapped', 1);
}

function hurt(tracker, pokemon, from) {
  if (tracker.gen <= 2 && pokemon.status === 'tox') {
    if (from === 'psn' || (tracker.gen === 1 && from === 'Leech Seed')) pokemon.statusCounter++;
  }
  if (from === 'confusion') aborted(tracker, pokemon, 'confusion');
}

/** It could not carry out its move. */
function aborted(tracker, pokemon, reason) {
  const { volatiles } = pokemon;
  if (tracker.gen > 1) {
    pokemon.preparing = '';
    if (tracker.gen === 2) volatiles.delete('lockedmove');
    return;
  }
  if (reason === 'par' || reason === 'confusion') {
    volatiles.delete('bide');
    volatiles.delete('lockedmove');
    volatiles.delete('binding');
    pokemon.preparing = '';
  }
  if (reason === 'disable') pokemon.preparing = '';
  if (reason === 'flinch') pokemon.mustRecharge = false;
}

function endTurn(tracker, pokemon) {
  const { volatiles } = pokemon;
  for (const id of ONE_TURN) volatiles.delete(id);
  pokemon.retype();
  if (pokemon.stallLeft > 0 && --pokemon.stallLeft === 0) pokemon.stall = 0;
  if (tracker.gen > 2 && pokemon.status === 'tox' && !pokemon.fainted) {
    pokemon.statusCounter = Math.min(15, pokemon.statusCounter + 1);
  }
  if (tracker.gen === 1 && volatiles.has('partiallytrapped')) {
    const left = volatiles.get('partiallytrapped') - 1;
    if (left > 0) volatiles.set('partiallytrapped', left);
    else volatiles.delete('partiallytrapped');
  }
  pokemon.touch();
}

// ---- coming and going

/** Baton Pass and Shed Tail: what the one who leaves hands over. */
function pass(tracker, leaving, incoming, by) {
  if (by === 'batonpass') incoming.boosts.set(leaving.boosts);
  for (const [id, value] of leaving.volatiles) {
    if (by === 'shedtail' ? id === 'substitute' : !tracker.dex.conditions.getByID(id).noCopy) {
      incoming.volatiles.set(id, value);
    }
  }
}

/** Who leaves or faints frees whom he held. */
function partFrom(tracker, side, incoming) {
  const foe = tracker.foeOf(side).active;
  if (!foe) return;
  foe.volatiles.delete('trapped');
  foe.touch();
}

function afterLeaving(tracker, pokemon) {
  if (tracker.gen > 2 && pokemon.status === 'tox') pokemon.statusCounter = 0;
}

function afterEntering(tracker, pokemon) {
  if (tracker.gen === 5 && pokemon.status === 'slp') pokemon.statusCounter = 0;
}

module.exports = {
  showAbility, showItem, getAbility, loseAbility, getItem, loseItem, pressure, start, end, activate, singleTurn,
  transform, moved, fail, hurt, aborted, endTurn, pass, partFrom, afterLeaving, afterEntering,
};
