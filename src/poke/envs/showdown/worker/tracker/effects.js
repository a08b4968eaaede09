'use strict';
// What lines do to a Pokemon beyond its health and stages. Ids of volatile effects are the simulator's.

const { toID, effectID } = require('./tables');
const { MoveSlot } = require('./pokemon');
const held = require('./held');
const locks = require('./locks');

// Noted like volatile effects, but none of the simulator's: of a Pokemon itself.
const STAYS = new Set(['transform', 'mimic', 'binding']);
const ONE_TURN = ['protect', 'roost'];
const SHIELDS = new Set([
  'protect',
  'detect',
  'maxguard',
  'kingsshield',
  'spikyshield',
  'banefulbunker',
  'obstruct',
  'silktrap',
  'burningbulwark',
]);

// ---- what they do

function start(tracker, pokemon, parts, of) {
  const text = parts[3];
  const id = effectID(text);
  const { volatiles } = pokemon;
  if (text.startsWith('ability: ')) {
    held.showAbility(pokemon, id);
    locks.absorbed(tracker, pokemon, id);
  }
  if (id === 'typechange') {
    // At a turn's end others are told the types that an Illusion seems to have, its owner with them.
    const isByLooks = parts.includes('[silent]');
    if (isByLooks && pokemon.key !== '' && parts[2].slice(5) !== pokemon.name) return;
    pokemon.typesAreLooks = isByLooks;
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
  if (id === 'smackdown') bringDown(tracker, pokemon);
  // A rampage ends in confusion.
  if (
    id === 'confusion' &&
    (parts.includes('[fatigue]') || (tracker.gen <= 2 && parts.includes('[silent]')))
  ) {
    volatiles.delete('lockedmove');
  }
}

function changeTypes(tracker, pokemon, parts, of) {
  const model = of && (!parts[4] || parts[4].startsWith('[')) ? tracker.at(of) : null;
  if (model) {
    pokemon.changedTypes = typesToCopy(tracker, model);
    pokemon.addedType = model.addedType;
  } else {
    pokemon.changedTypes = tracker.tables.types(parts[4].split('/'));
    pokemon.addedType = '';
  }
  pokemon.retype();
}

/** What Reflect Type takes over beside the added type: types as they are now. */
function typesToCopy(tracker, model) {
  const { terastallized } = model;
  if (terastallized && terastallized !== 'Stellar') return tracker.tables.types([terastallized]);
  const types = model.changedTypes || model.heldTypes() || model.species.types;
  return model.has('roost') ? withoutFlying(tracker, types) : types;
}

/** Its Mimic is another move until it leaves; its Sketch, which gens 3 and 4 show in the same words, for good. */
function mimic(tracker, pokemon, id, by) {
  const move = tracker.tables.move(id);
  const isSketch = by === 'sketch' || pokemon.lastMove === 'sketch';
  const name = isSketch ? 'sketch' : 'mimic';
  if (!isSketch) pokemon.volatiles.set('mimic', id);
  // In gen 1 a Mimic that Metronome has called takes Metronome's place.
  const place = tracker.gen === 1 && pokemon.calledMove === name ? pokemon.lastMove : name;
  const index = pokemon.moves.findIndex(slot => slot.move.id === place);
  if (index < 0) return;
  const old = pokemon.moves[index];
  const slot = copiedSlot(pokemon, move, old, isSketch);
  if (isSketch && pokemon.baseMoves[index] === old) pokemon.baseMoves[index] = slot;
  else if (pokemon.moves === pokemon.baseMoves) pokemon.moves = pokemon.moves.slice();
  pokemon.moves[index] = slot;
}

/** PP of what Mimic or Sketch has copied; to gen 4 Mimic's PP Ups count for the maximum. */
function copiedSlot({ tables: { gen }, transformed }, move, old, isSketch) {
  const { pp } = move.entry;
  if (gen === 1) return new MoveSlot(move, old.pp, transformed ? Math.min(5, pp) : move.maxpp);
  const isRaised = old.maxpp > old.move.entry.pp; // one that was sketched is not
  if (gen <= 4 && !isSketch) return new MoveSlot(move, Math.min(5, pp), isRaised ? move.maxpp : pp);
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
  if (text.startsWith('ability: ')) held.showAbility(pokemon, id);
  if (id === 'feint' || parts.includes('[broken]')) breakShield(tracker, pokemon);
  if (isShield(id) && tracker.mover && pokemon !== tracker.mover) locks.blocked(tracker);
  if (id === 'trapped') pokemon.volatiles.set('trapped', true);
  const move = text.startsWith('move: ') ? tracker.tables.move(id) : null;
  if (move && move.entry.volatileStatus === 'partiallytrapped')
    pokemon.volatiles.set('partiallytrapped', id);
  const act = ACTIVATIONS[id];
  if (act) act(tracker, pokemon, parts, of);
}

/** To gen 4 a Pressure costs Snatch one more when it has caught something, not when it is used. */
function payForSnatch(tracker, pokemon) {
  const slot = tracker.gen <= 4 ? pokemon.findMove('snatch') : null;
  if (slot) slot.pp = Math.max(0, slot.pp - held.pressure(tracker, pokemon, slot.move, new Set()));
}

/** Gravity and Smack Down: nothing holds it up any more. */
function bringDown(tracker, pokemon) {
  for (const id of ['magnetrise', 'telekinesis']) pokemon.volatiles.delete(id);
  if (tracker.tables.move(pokemon.preparing).entry.flags.gravity) pokemon.preparing = '';
}

/** Feint and the like end a shield; from gen 6 on the next one is as sure as the first. */
function breakShield(tracker, pokemon) {
  pokemon.volatiles.delete('protect');
  if (tracker.gen >= 6) pokemon.stall = pokemon.stallLeft = 0;
}

const ACTIVATIONS = {
  __proto__: null,
  confusion(tracker, pokemon) {
    tracker.confused = pokemon;
    pokemon.actAsleep();
  },
  gravity: bringDown,
  snatch: payForSnatch,
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
      held.showAbility(pokemon, effectID(second));
      held.showAbility(other, effectID(first));
      pokemon.ability = effectID(first);
      other.ability = effectID(second);
    } else {
      [pokemon.ability, other.ability] = [other.ability, pokemon.ability];
    }
    [pokemon.abilityOf, other.abilityOf] = [other.abilityOf, pokemon.abilityOf];
  },
};

const isShield = id =>
  SHIELDS.has(id) || id === 'quickguard' || id === 'wideguard' || id === 'matblock';

/** Mummy: who touched it had '[ability] X' and has Mummy now. */
function infect(tracker, parts, id) {
  const victim = parts[4] ? tracker.at(parts[4]) : null;
  if (!victim) return;
  const old = parts.find(part => part.startsWith('[ability] '));
  if (old) {
    held.showAbility(victim, effectID(old.slice(10)));
    victim.lostAbility = effectID(old.slice(10));
  }
  victim.ability = id;
}

function restore(pokemon, id, amount) {
  const slot = pokemon.revealMove(id);
  if (slot) slot.pp = Math.max(0, Math.min(slot.maxpp, slot.pp + amount));
}

function singleTurn(tracker, pokemon, id) {
  if (SHIELDS.has(id)) pokemon.volatiles.set('protect', true);
  if (id === 'roost') loseFlying(tracker, pokemon);
  const { stallingMove } = tracker.tables.move(id).entry;
  // Mat Block is called one and may be used again and again.
  if ((stallingMove && id !== 'matblock') || id === 'quickguard' || id === 'wideguard') {
    pokemon.stall = Math.min(4, pokemon.stall + 1);
    pokemon.stallLeft = 2;
  }
}

/** Roost: no Flying type until the turn's end. */
function loseFlying(tracker, pokemon) {
  if (!pokemon.types.names.includes('Flying')) return;
  pokemon.volatiles.set('roost', true);
  pokemon.types = withoutFlying(tracker, pokemon.types);
}

function withoutFlying({ tables, gen }, types) {
  const names = types.names.filter(name => name !== 'Flying');
  return tables.types(names.length ? names : [gen >= 5 ? 'Normal' : '???']);
}

function transform(tracker, pokemon, model) {
  pokemon.transformed = true;
  pokemon.species = model.species;
  pokemon.changedTypes = model.changedTypes || model.heldTypes();
  pokemon.addedType = model.addedType;
  pokemon.retype();
  pokemon.boosts.set(model.boosts);
  copyFocus(tracker, pokemon, model);
  if (tracker.gen > 2) {
    pokemon.ability = model.ability;
    pokemon.abilityOf = model.abilityOf;
  }
  pokemon.volatiles.set('transform', true);
  pokemon.copyMoves(model);
  // Before the first request the own moves are not known yet.
  tracker.copying = model === tracker.own.active && model.moves.length === 0 ? pokemon : null;
}

/** From gen 6 on who takes over stages takes over this as well: that it begins is told, that it ends is not. */
function copyFocus(tracker, pokemon, model) {
  if (tracker.gen >= 6 && !model.has('focusenergy')) pokemon.volatiles.delete('focusenergy');
}

function endTurn(tracker, pokemon) {
  const { volatiles } = pokemon;
  for (const id of ONE_TURN) volatiles.delete(id);
  for (const id of ['lockedmove', 'rollout']) {
    const bound = volatiles.get(id);
    if (
      bound &&
      bound.left !== Infinity &&
      --bound.left === 0 &&
      (tracker.gen > 2 || id === 'rollout' || bound.hits >= locks.RAMPAGES)
    ) {
      volatiles.delete(id);
    }
  }
  if (tracker.gen > 1 && pokemon.status === 'slp') volatiles.delete('lockedmove');
  pokemon.retype();
  if (tracker.gen > 1 && pokemon.preparing && --pokemon.preparingLeft === 0) pokemon.preparing = '';
  if (tracker.gen > 1 && pokemon.mustRecharge && --pokemon.rechargeLeft === 0)
    pokemon.mustRecharge = false;
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
  const { conditions } = tracker.dex;
  const isPassed = ([id]) =>
    by === 'shedtail' ? id === 'substitute' : !STAYS.has(id) && !conditions.getByID(id).noCopy;
  const boosts = by === 'batonpass' ? leaving.boosts.slice() : null;
  return { boosts, volatiles: new Map([...leaving.volatiles].filter(isPassed)) };
}

function inherit(incoming, { boosts, volatiles }) {
  if (boosts) incoming.boosts.set(boosts);
  incoming.volatiles = volatiles;
}

/** To gen 4 Baton Pass hands over whom he held, too. */
const passesHold = tracker => !tracker.dex.conditions.getByID('trapper').noCopy;

/** Who leaves or faints frees whom he held. */
function partFrom(tracker, side) {
  const foe = tracker.foeOf(side).active;
  if (!foe) return;
  foe.volatiles.delete('trapped');
  foe.touch();
}

function afterLeaving(tracker, pokemon) {
  if (pokemon.status === 'tox') pokemon.statusCounter = 0;
}

function afterEntering(tracker, pokemon) {
  if (pokemon.status !== 'slp') return;
  if (tracker.gen === 5) pokemon.statusCounter = 0;
  if (tracker.gen === 3)
    pokemon.statusCounter = Math.max(0, pokemon.statusCounter - pokemon.skippedSleep);
  pokemon.skippedSleep = 0;
}

module.exports = {
  start,
  end,
  activate,
  singleTurn,
  transform,
  copyFocus,
  endTurn,
  legacyOf,
  inherit,
  passesHold,
  partFrom,
  afterLeaving,
  afterEntering,
};
