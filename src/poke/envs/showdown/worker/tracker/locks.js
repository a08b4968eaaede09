'use strict';
// What binds a Pokemon to its move: rampages, rolling, two turns, and in gen 1 the moves that hold the target.

const BINDS_ONE = 5; // gen 1: a binding move hits at most so often in a row
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
  if (hits < turns)
    volatiles.set(volatile, { id: move.id, hits, left: turns === Infinity ? Infinity : 2 });
  else if (gen > 4) volatiles.delete(volatile);
  else volatiles.set(volatile, { id: move.id, hits, left: 1 }); // ends with the turn
}

/** Gen 1: Bind, Clamp, Fire Spin and Wrap hold the target as long as they go on. */
function bind(tracker, pokemon, move, isContinued) {
  const { volatiles } = pokemon;
  const foe = tracker.rivalOf(pokemon);
  if (volatileOf(move) !== 'partialtrappinglock' || !foe) {
    if (volatiles.delete('binding') && foe) foe.volatiles.delete('partiallytrapped');
    return;
  }
  foe.mustRecharge = false; // even if it misses
  const hits = isContinued ? (volatiles.get('binding') || 0) + 1 : 1;
  volatiles.set('binding', hits);
  if (hits < BINDS_ONE) foe.volatiles.set('partiallytrapped', 2);
  foe.touch();
}

/** Gen 1: nobody is held any more by one who has fainted or left. */
function beginTurn(tracker, pokemon) {
  if (tracker.gen > 1 || !pokemon.has('partiallytrapped')) return;
  const rival = tracker.rivalOf(pokemon);
  if (!rival || !rival.has('binding')) pokemon.volatiles.delete('partiallytrapped');
}

function fail(tracker, pokemon, parts) {
  if (!parts.some(part => part.startsWith('[from]'))) missed(tracker);
  const { mover } = tracker;
  if (pokemon !== mover || tracker.gen < 6 || !pokemon.lastMove) return;
  // Told by Instruct to do it once more in the same turn it fails for lack of a move to come, which is not its luck.
  if (pokemon.stallLeft === 2) return;
  if (tracker.tables.move(pokemon.lastMove).entry.stallingMove)
    pokemon.stall = pokemon.stallLeft = 0;
}

/** The move that is being used does not hit. */
function missed(tracker) {
  const { mover } = tracker;
  if (!mover) return;
  const { volatiles } = mover;
  if (tracker.gen === 1) {
    const foe = tracker.rivalOf(mover);
    if (foe && volatiles.has('binding')) unbind(mover, foe);
  } else if (tracker.gen > 2) {
    endRampage(tracker, volatiles);
  }
  volatiles.delete('rollout');
  mover.touch();
}

// Abilities that take a move in and gain by it. Where there is nothing to gain, `-immune` tells of it.
const ABSORBERS = new Set([
  ...['dryskin', 'eartheater', 'flashfire', 'lightningrod', 'motordrive', 'sapsipper'],
  ...['stormdrain', 'voltabsorb', 'waterabsorb', 'wellbakedbody', 'windrider'],
]);

/** An ability of a Pokemon has done something: what it took in has missed. */
function absorbed(tracker, pokemon, ability) {
  if (tracker.mover && tracker.mover !== pokemon && ABSORBERS.has(ability)) missed(tracker);
}

/** A shield holds the move off that is being used; to gen 4 a rampage that has begun goes on. */
function blocked(tracker) {
  const { mover } = tracker;
  const bound = mover.volatiles.get('lockedmove');
  if (tracker.gen > 4) {
    missed(tracker);
    return;
  }
  if (tracker.gen > 2 && bound && bound.hits === 1) mover.volatiles.delete('lockedmove');
  mover.volatiles.delete('rollout');
  mover.touch();
}

/** A rampage that has begun ends in gens 3 and 4 with the turn, from gen 5 on at once. */
function endRampage(tracker, volatiles) {
  const bound = volatiles.get('lockedmove');
  if (bound && bound.hits > 1 && tracker.gen <= 4) bound.left = 1;
  else volatiles.delete('lockedmove');
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

module.exports = { beginTurn, moved, missed, absorbed, blocked, isBoundTo, fail, hurt, aborted, RAMPAGES };
