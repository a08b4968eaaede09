'use strict';
// What the scripted players reckon with: types against types, stats and the worth of a move.

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

/** Base power x same type x stat ratio x accuracy x hits x effectiveness. */
function worth(tracker, { entry }, pokemon, foe) {
  const [attack, defence] = entry.category === 'Physical' ? ['atk', 'def'] : ['spa', 'spd'];
  return (
    entry.basePower *
    (pokemon.types.names.includes(entry.type) ? 1.5 : 1) *
    (estimate(pokemon, attack) / estimate(foe, defence)) *
    (entry.accuracy === true ? 1 : entry.accuracy / 100) *
    expectedHits(entry) *
    multiplier(tracker, entry.type, foe.types)
  );
}

module.exports = { multiplier, matchup, health, worth };
