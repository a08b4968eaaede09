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
  // Which of the two that are called As One tells the species; of another one it stays unknown.
  if (id === 'asone' && pokemon.species.baseSpecies === 'Calyrex') id = toID(pokemon.species.entry.abilities['0']);
  // As One speaks with the voices of its two halves.
  if (pokemon.ability.startsWith('asone') && ['unnerve', 'chillingneigh', 'grimneigh'].includes(id)) return;
  if (pokemon.ability === id) return;
  if (pokemon.ability === pokemon.baseAbility) pokemon.baseAbility = id;
  pokemon.ability = id;
  pokemon.retype();
  pokemon.touch();
}

function showItem(pokemon, id) {
  if (pokemon.tables.dex.items.getByID(id).isBerry) return; // eaten when it acts, perhaps another's
  // An item that has just been used up still names itself as the cause of what it did.
  if (pokemon.item === 'noitem' && pokemon.lostItem === id) return;
  if (pokemon.key === '') pokemon.item = id;
  pokemon.retype();
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

/** A lasting form brings its own ability, but for what only breaks a disguise. */
function changeForm(pokemon) {
  if (pokemon.fainted) {
    pokemon.ability = pokemon.baseAbility = pokemon.formerAbility; // the form is undone
    return;
  }
  if (['disguise', 'iceface'].includes(pokemon.ability)) return;
  if (pokemon.base !== pokemon.original) pokemon.formerAbility = pokemon.baseAbility;
  const id = toID(pokemon.base.entry.abilities['0']);
  if (!pokemon.transformed) pokemon.ability = id;
  pokemon.baseAbility = id;
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
  pokemon.lostItem = id;
  if (pokemon.key === '') pokemon.item = 'noitem';
}

/** How much more a move costs: one for a Pressure that is known. */
function pressure(tracker, pokemon, move, reachesNoFoe) {
  const foe = foeOf(tracker, pokemon);
  if (!foe || foe.fainted || foe.ability !== 'pressure' || foe.has('gastroacid')) return 0;
  let { target } = move.entry;
  if (move.id === 'curse' && !pokemon.types.names.includes('Ghost')) target = move.entry.nonGhostTarget;
  if (reachesNoFoe.has(target) && !move.entry.flags.mustpressure) return 0;
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
    mimic(tracker, pokemon, toID(parts[4]), 'mimic');
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

/** Its Mimic is another move until it leaves; its Sketch, which gens 3 and 4 show in the same words, for good. */
function mimic(tracker, pokemon, id, by) {
  const move = tracker.tables.move(id);
  const isSketch = by === 'sketch' || pokemon.lastMove === 'sketch';
  const name = isSketch ? 'sketch' : 'mimic';
  if (!isSketch) pokemon.volatiles.set('mimic', id);
  const index = pokemon.moves.findIndex(slot => slot.move.id === name);
  if (index < 0) return;
  const slot = copiedSlot(tracker.gen, move, pokemon.moves[index], isSketch);
  if (isSketch && pokemon.moves === pokemon.baseMoves) {
    pokemon.baseMoves[index] = slot;
  } else {
    pokemon.moves = pokemon.moves.slice();
    pokemon.moves[index] = slot;
  }
}

/** PP of what Mimic or Sketch has copied; to gen 4 Mimic's PP Ups count for the maximum. */
function copiedSlot(gen, move, old, isSketch) {
  if (gen === 1) return new MoveSlot(move, old.pp);
  const { pp } = move.entry;
  if (gen <= 4 && !isSketch) return new MoveSlot(move, Math.min(5, pp));
  return new MoveSlot(move, pp, pp);
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
  if (isShield(id) && tracker.mover && pokemon !== tracker.mover && tracker.gen > 4) missed(tracker);
  if (id === 'trapped') pokemon.volatiles.set('trapped', true);
  const move = text.startsWith('move: ') ? tracker.tables.move(id) : null;
  if (move && move.entry.volatileStatus === 'partiallytrapped') pokemon.volatiles.set('partiallytrapped', id);
  const act = ACTIVATIONS[id];
  if (act) act(tracker, pokemon, parts, of);
}

const ACTIVATIONS = {
  __proto__: null,
  mummy: (tracker, pokemon, parts) => infect(tracker, parts, 'mummy'),
  lingeringaroma: (tracker, pokemon, parts) => infect(tracker, parts, 'lingeringaroma'),
  leppaberry: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), 10),
  mysteryberry: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), 5),
  spite: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -parts[5]),
  eeriespell: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -parts[5]),
  gmaxdepletion: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -parts[5]),
  grudge: (tracker, pokemon, parts) => restore(pokemon, toID(parts[4]), -64),
  mimic: (tracker, pokemon, parts) => mimic(tracker, pokemon, toID(parts[4]), 'mimic'),
  sketch: (tracker, pokemon, parts) => mimic(tracker, pokemon, toID(parts[4]), 'sketch'),
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

const isShield = id => SHIELDS.has(id) || id === 'quickguard' || id === 'wideguard' || id === 'matblock';

/** Mummy: who touched it had '[ability] X' and has Mummy now. */
function infect(tracker, parts, id) {
  const victim = parts[4] ? tracker.at(parts[4]) : null;
  if (!victim) return;
  const old = parts.find(part => part.startsWith('[ability] '));
  if (old) showAbility(victim, effectID(old.slice(10)));
  victim.ability = id;
}

function restoreAll(pokemon) {
  for (const slot of pokemon.baseMoves) slot.pp = slot.maxpp;
}

function restore(pokemon, id, amount) {
  const slot = pokemon.revealMove(id);
  if (slot) slot.pp = Math.max(0, Math.min(slot.maxpp, slot.pp + amount));
}

function singleTurn(tracker, pokemon, id) {
  if (SHIELDS.has(id)) pokemon.volatiles.set('protect', true);
  if (id === 'roost') loseFlying(tracker, pokemon);
  const move = tracker.tables.move(id);
  if (move.entry.stallingMove || id === 'quickguard' || id === 'wideguard') {
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
  pokemon.copyMoves(model);
  // Before the first request the own moves are not known yet.
  tracker.copying = model === tracker.own.active && model.moves.length === 0 ? pokemon : null;
}

// ---- moving

const RAMPAGES = 3;
const ROLLS = 5;

const volatileOf = move => (move.entry.self ? move.entry.self.volatileStatus : undefined);
const isRolling = move => move.id === 'rollout' || move.id === 'iceball';

/** Whether it goes on with this move by itself. */
function isBoundTo(pokemon, id) {
  if (pokemon.preparing === id) return true;
  const lock = pokemon.volatiles.get('lockedmove') || pokemon.volatiles.get('rollout');
  return lock !== undefined && lock.id === id;
}

/** It uses a move: take it for a hit, `missed` takes that back. */
function moved(tracker, pokemon, move, isContinued) {
  if (tracker.gen === 1) {
    bind(tracker, pokemon, move, isContinued);
    if (volatileOf(move) === 'lockedmove') lock(pokemon, 'lockedmove', move, Infinity);
    return;
  }
  if (volatileOf(move) === 'lockedmove') lock(pokemon, 'lockedmove', move, RAMPAGES);
  if (isRolling(move) && pokemon.status !== 'slp') lock(pokemon, 'rollout', move, ROLLS);
}

/** Bound to a move for so many turns at most. It holds as long as each turn's use hits. */
function lock(pokemon, volatile, move, turns) {
  const { volatiles } = pokemon;
  const { gen } = pokemon.tables;
  const before = volatiles.get(volatile);
  const hits = before ? before.hits + 1 : 1;
  if (hits < turns) volatiles.set(volatile, { id: move.id, hits, left: turns === Infinity ? Infinity : 2 });
  else if (gen > 4) volatiles.delete(volatile);
  else volatiles.set(volatile, { id: move.id, hits, left: 1 }); // ends with the turn
}

/** Gen 1: Bind, Clamp, Fire Spin and Wrap hold the target as long as they go on. */
function bind(tracker, pokemon, move, isContinued) {
  const { volatiles } = pokemon;
  const foe = foeOf(tracker, pokemon);
  if (volatileOf(move) !== 'partialtrappinglock' || !foe) {
    volatiles.delete('binding');
    return;
  }
  foe.mustRecharge = false; // even if it misses
  const hits = isContinued ? (volatiles.get('binding') || 0) + 1 : 1;
  volatiles.set('binding', hits);
  if (hits < BINDS_ONE) foe.volatiles.set('partiallytrapped', 2);
  foe.touch();
}

function foeOf(tracker, pokemon) {
  return (pokemon === tracker.own.active ? tracker.opponent : tracker.own).active;
}

function fail(tracker, pokemon, parts) {
  if (!parts.some(part => part.startsWith('[from]'))) missed(tracker);
  const { mover } = tracker;
  if (pokemon !== mover || tracker.gen < 6 || !pokemon.lastMove) return;
  if (tracker.tables.move(pokemon.lastMove).entry.stallingMove) pokemon.stall = pokemon.stallLeft = 0;
}

/** The move that is being used does not hit. */
function missed(tracker) {
  const { mover } = tracker;
  if (!mover) return;
  const { volatiles } = mover;
  if (tracker.gen === 1) {
    const foe = foeOf(tracker, mover);
    if (foe && volatiles.has('binding')) unbind(mover, foe);
  } else if (tracker.gen > 2) {
    volatiles.delete('lockedmove');
  }
  volatiles.delete('rollout');
  mover.touch();
}

/** Gen 1: a binding move that missed holds nobody; what an earlier hit left runs out by itself. */
function unbind(pokemon, foe) {
  const hits = pokemon.volatiles.get('binding');
  pokemon.volatiles.delete('binding');
  if (hits === 1) foe.volatiles.delete('partiallytrapped');
  else foe.volatiles.set('partiallytrapped', 1);
  foe.touch();
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
  for (const id of ['lockedmove', 'rollout']) {
    const bound = volatiles.get(id);
    if (bound && bound.left !== Infinity && --bound.left === 0 && (tracker.gen > 2 || id === 'rollout' || bound.hits >= RAMPAGES)) {
      volatiles.delete(id);
    }
  }
  if (tracker.gen > 1 && pokemon.status === 'slp') volatiles.delete('lockedmove');
  pokemon.retype();
  if (tracker.gen > 1 && pokemon.preparing && --pokemon.preparingLeft === 0) pokemon.preparing = '';
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
function legacyOf(tracker, leaving, by) {
  const isKept = ([id]) => (by === 'shedtail' ? id === 'substitute' : !tracker.dex.conditions.getByID(id).noCopy);
  const boosts = by === 'batonpass' ? leaving.boosts.slice() : null;
  return { boosts, volatiles: new Map([...leaving.volatiles].filter(isKept)) };
}

function inherit(incoming, { boosts, volatiles }) {
  if (boosts) incoming.boosts.set(boosts);
  incoming.volatiles = volatiles;
}

/** Who leaves or faints frees whom he held. */
function partFrom(tracker, side, incoming) {
  const foe = tracker.foeOf(side).active;
  if (!foe) return;
  foe.volatiles.delete('trapped');
  if (tracker.gen === 1) foe.volatiles.delete('partiallytrapped');
  foe.touch();
}

function afterLeaving(tracker, pokemon) {
  if (pokemon.status === 'tox') pokemon.statusCounter = 0;
}

function afterEntering(tracker, pokemon) {
  if (pokemon.status !== 'slp') return;
  if (tracker.gen === 5) pokemon.statusCounter = 0;
  if (tracker.gen === 3) pokemon.statusCounter = Math.max(0, pokemon.statusCounter - pokemon.skippedSleep);
  pokemon.skippedSleep = 0;
}

module.exports = {
  restoreAll, showAbility, changeForm, showItem, getAbility, loseAbility, getItem, loseItem, pressure, start, end, activate, singleTurn,
  transform, moved, missed, isBoundTo, fail, hurt, aborted, endTurn, legacyOf, inherit, partFrom, afterLeaving, afterEntering,
};
