'use strict';
// Replace, for a moment, everything of a battle that its player cannot know.

/** Call `look` while the other side's hidden state is nonsense; return what it returned. */
function scrambled(world, fuzz, prng, look) {
  const { simulated, foe } = world;
  const kept = [foe, ...foe.pokemon].map(thing => [thing, { ...thing }]);
  const dice = simulated.prng;
  simulated.prng = new dice.constructor(`sodium,${prng.random(2 ** 31).toString(16).padStart(32, '0')}`);
  for (const pokemon of foe.pokemon) scramble(pokemon, fuzz, prng);
  for (const pokemon of foe.pokemon) pokemon.illusion = pokemon.illusion ? null : foe.pokemon[0];
  // As the slots stand, too: who sits where on the other bench is nobody's to know.
  foe.pokemon = [...foe.pokemon].reverse();
  foe.team = [];
  try {
    return look();
  } finally {
    simulated.prng = dice;
    for (const [thing, values] of kept) {
      for (const name of Object.keys(thing)) if (!(name in values)) delete thing[name];
      Object.assign(thing, values);
    }
  }
}

function scramble(pokemon, fuzz, prng) {
  const { dex } = fuzz;
  const slot = () => {
    const move = dex.moves.get(fuzz.pick(fuzz.moves));
    return { move: move.name, id: move.id, pp: 1 + prng.random(60), maxpp: 64, target: move.target, disabled: false, used: true };
  };
  const slots = [0, 1, 2, 3].map(slot);
  const species = fuzz.pick(fuzz.species);
  const stats = Object.fromEntries(['atk', 'def', 'spa', 'spd', 'spe'].map(stat => [stat, 1 + prng.random(900)]));
  const maxhp = 1 + prng.random(700);
  Object.assign(pokemon, {
    moveSlots: slots,
    baseMoveSlots: [...slots].reverse(),
    species,
    baseSpecies: species,
    item: dex.items.get(fuzz.items.length ? fuzz.pick(fuzz.items) : '').id,
    ability: dex.abilities.get(fuzz.abilities.length ? fuzz.pick(fuzz.abilities) : '').id,
    baseAbility: 'scrambled',
    teraType: fuzz.pick(fuzz.types),
    maxhp,
    baseMaxhp: maxhp,
    hp: 1 + prng.random(maxhp),
    storedStats: stats,
    baseStoredStats: stats,
    types: [fuzz.pick(fuzz.types)],
    boosts: { ...pokemon.boosts, atk: prng.random(6) },
    statusState: { id: 'slp', time: prng.random(9), startTime: prng.random(9), stage: prng.random(15) },
    volatiles: {},
    set: { ...pokemon.set, moves: slots.map(one => one.id) },
    lastMove: null,
    lastItem: 'scrambled',
    activeTurns: prng.random(9),
  });
}

module.exports = { scrambled };
