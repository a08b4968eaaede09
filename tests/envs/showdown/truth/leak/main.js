'use strict';
// node main.js PACKAGE WORKER < SETTINGS: whether an observation depends on anything that its player cannot know.
//   {"format": "gen1randombattle", "fuzz": false, "layout": ..., "tables": ..., "battles": 4, "peek": null}
// `fuzz`: random teams of anything instead of the format's; `peek`: a kind of hidden thing that is let into the
// observations, to see that it is noticed.
// Prints as JSON: what was compared, how often it differed, what the players were told (for alone.js).

const fs = require('fs');
const path = require('path');
const { World, load, hiddenOf, HIDDEN } = require('./worlds');
const { Twins } = require('./twins');
const { scrambled } = require('./scramble');
const { Fuzz } = require('../teams');

const [folder, worker] = process.argv.slice(2);
const settings = JSON.parse(fs.readFileSync(0, 'utf8'));
const parts = load(folder, worker, settings);
const { simulator, format } = parts;
const { peek } = settings;
const dex = simulator.Dex.forFormat(format);
const fuzz = new Fuzz(dex, null);
const zeros = () => Object.fromEntries(Object.keys(HIDDEN).map(kind => [kind, 0]));
const report = {
  decisions: 0,
  scrambled: zeros(), // decisions at which what is hidden was overwritten, by what was then different
  twins: zeros(), // decisions of other worlds at which the player had been told the same, likewise
  leaks: { scrambled: 0, twins: 0 },
  examples: [],
  told: [],
};

const hasPreview = simulator.Dex.formats.getRuleTable(format).has('teampreview');

function note(kind, where) {
  report.leaks[kind]++;
  if (report.examples.length < 5) report.examples.push(`${kind}: ${where}`);
}

/** Count the kinds of hidden things that differ. */
function tally(counts, before, after) {
  for (const kind of Object.keys(HIDDEN)) if (before[kind] !== after[kind]) counts[kind]++;
}

/** Play a battle; at each decision of the player all that is hidden is replaced and what is seen must stay. */
function original(world, prng) {
  const taken = new Map();
  const decisions = [];
  const shown = new Set(); // moves that the other side used
  const choose = (n, mask, key) => {
    const legal = [];
    for (let action = 0; action < 26; action++) if ((mask >> action) & 1) legal.push(action);
    const action = legal[prng.random(legal.length)];
    taken.set(key, action);
    return action;
  };
  world.play(choose, () => {
    const bytes = world.observe(peek);
    const { mask } = world.battle.seats[world.seat];
    decisions.push({ view: world.view(), bytes, mask, hidden: hiddenOf(world.foe) });
    world.told.push(`|observation|${bytes}`);
    report.decisions++;
    const { hidden } = decisions[decisions.length - 1];
    const changed = scrambled(world, fuzz, prng, () => {
      tally(report.scrambled, hidden, hiddenOf(world.foe));
      return world.observe(peek);
    });
    if (changed !== bytes) note('scrambled', `${format.id} turn ${world.simulated.turn}`);
  });
  for (const pokemon of world.foe.pokemon) {
    for (const slot of pokemon.baseMoveSlots) if (slot.used || slot.pp < slot.maxpp) shown.add(slot.id);
  }
  return { taken, decisions, shown };
}

/** Play it again in another world for as long as the player is told the same. */
function again(world, { taken, decisions }, name) {
  let at = 0;
  const choose = (n, mask, key) => {
    const action = taken.has(key) ? taken.get(key) : -1;
    return (mask >> action) & 1 ? action : -1;
  };
  world.play(choose, () => {
    const known = decisions[at++];
    if (!known || world.view() !== known.view) return false;
    tally(report.twins, known.hidden, hiddenOf(world.foe));
    const bytes = world.observe(peek);
    world.told.push(`|observation|${bytes}`);
    const { mask } = world.battle.seats[world.seat];
    if (bytes !== known.bytes || mask !== known.mask) note('twins', `${format.id} ${name} turn ${world.simulated.turn}`);
    return true;
  });
}

for (let seed = 0; seed < settings.battles; seed++) {
  const prng = new simulator.PRNG(`sodium,${(seed + 1).toString(16).padStart(32, '0')}`);
  fuzz.prng = prng;
  const draw = k => simulator.Teams.generate(format, { seed: `sodium,${(9 * seed + k).toString(16).padStart(32, '0')}` });
  const teams = [1, 2].map(k => (settings.fuzz ? fuzz.team() : draw(k)));
  const seat = seed % 2;
  const world = new World(parts, { format, seed, teams, seat });
  const played = original(world, prng);
  report.told.push({ player: `p${seat + 1}`, told: world.told.filter(line => !line.startsWith('|action|')) });
  const twins = new Twins(fuzz, { hasPreview, showsHP: world.simulated.reportExactHP });
  const others = { ...twins.of(teams[1 - seat], played.shown), dice: teams[1 - seat] };
  for (const [name, team] of Object.entries(others)) {
    const changed = seat ? [team, teams[1]] : [teams[0], team];
    again(new World(parts, { format, seed, teams: changed, seat, dice: name === 'dice' ? 9 : 0 }), played, name);
  }
}
fs.writeSync(1, JSON.stringify(report));
