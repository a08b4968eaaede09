'use strict';
// What the scripted players reckon with: types against types, stats and the worth of a move. Numbers are poke-env's.

const { moveOf } = require('../request');

const taken = new WeakMap(); // TypeSet -> attacking type -> multiplier

/** What an attacking type does to a Pokemon of these types. */
function multiplier(tracker, type, types) {
  let known = taken.get(types);
  if (!known) taken.set(types, (known = new Map()));
  let product = known.get(type);
  if (product === undefined) {
    product = 1;
    for (const name of types.names) {
      const { damageTaken } = tracker.dex.types.get(name);
      product *= [1, 2, 0.5, 0][(damageTaken && damageTaken[type]) || 0];
    }
    known.set(type, product);
  }
  return product;
}

const best = (tracker, types, target) => Math.max(...types.names.map(type => multiplier(tracker, type, target)));
const health = pokemon => (pokemon.fainted ? 0 : pokemon.hp / pokemon.maxhp);

/** How a Pokemon stands against another: types, speed, health. */
function matchup(tracker, pokemon, foe) {
  const speed = Math.sign(pokemon.species.base.spe - foe.species.base.spe);
  const types = best(tracker, pokemon.types, foe.types) - best(tracker, foe.types, pokemon.types);
  return types + 0.1 * speed + 0.4 * (health(pokemon) - health(foe));
}

const STATS = { atk: 0, def: 1, spa: 2, spd: 3 };

/** A stat estimated from species and stages; one stage up counts double, as poke-env has it. */
function estimate(pokemon, stat) {
  const stages = pokemon.boosts[STATS[stat]];
  return (2 * pokemon.species.base[stat] + 36) * (stages > 1 ? (2 + stages) / 2 : 2 / (2 - stages));
}

function expectedHits({ id, multihit }) {
  if (!multihit) return 1;
  if (id === 'triplekick' || id === 'tripleaxel') return 1 + 2 * 0.9 + 3 * 0.81; // each hit may miss, and is stronger
  if (!Array.isArray(multihit)) return multihit;
  const [least, most] = multihit;
  return least === 2 && most === 5 ? 19 / 6 : (least + most) / 2;
}

// Power of the max move by the power of its base; of Fighting and Poison moves the second.
const MAX_POWERS = [[40, 90, 70], [50, 100, 75], [60, 110, 80], [70, 120, 85], [100, 130, 90], [140, 140, 95]];
const WEAK_MAX = new Set(['Fighting', 'Poison']);

function maxPower({ basePower, category, type }) {
  if (category === 'Status') return 0;
  const [, most, weak] = MAX_POWERS.find(([below]) => basePower < below) || [0, 150, 100];
  return WEAK_MAX.has(type) ? weak : most;
}

/** The move that an action uses, as its owner knows it: requests call each Hidden Power just so, whatever its type. */
function moveAt(tracker, request, action) {
  const id = moveOf(request, action);
  const slot = id === 'hiddenpower' && tracker.own.active.moves.find(({ move }) => move.id.startsWith(id));
  return slot ? slot.move : tracker.tables.move(id);
}

/** Base power, of a dynamaxed Pokemon the max move's. */
function power({ entry }, pokemon) {
  return pokemon.has('dynamax') ? maxPower(entry) : entry.basePower;
}

/** Power x same type x stat ratio x accuracy x hits x effectiveness. */
function worth(tracker, move, pokemon, foe) {
  const { entry } = move;
  const [attack, defence] = entry.category === 'Physical' ? ['atk', 'def'] : ['spa', 'spd'];
  const isSure = entry.accuracy === true || pokemon.has('dynamax');
  return (
    power(move, pokemon) *
    (pokemon.types.names.includes(entry.type) ? 1.5 : 1) *
    (estimate(pokemon, attack) / estimate(foe, defence)) *
    (isSure ? 1 : entry.accuracy / 100) *
    (pokemon.has('dynamax') ? 1 : expectedHits(entry)) *
    multiplier(tracker, entry.type, foe.types)
  );
}

module.exports = { multiplier, matchup, health, moveAt, power, worth };
