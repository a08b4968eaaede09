'use strict';
// node handlers.js PACKAGE ACCELERATE GENERATION: are the handlers that the accelerated simulator finds those that its
// original finds, for every effect of the generation wherever it may lie, and every event that any effect handles?
// Prints JSON {compared, found: lists that were not empty, different: [...]}.

const path = require('path');

const [, , folder, accelerator, generation] = process.argv;
const part = name => require(path.join(folder, 'dist', 'sim', name));
const { Battle } = part('battle');
const original = Battle.prototype.findEventHandlers;
require(accelerator).accelerate(folder, line => process.stderr.write(`${line}\n`));

const battle = new Battle({ formatid: `gen${generation}randombattle`, seed: `sodium,${'1'.repeat(32)}` });
for (const slot of ['p1', 'p2']) battle.setPlayer(slot, { name: slot, seed: `sodium,${slot[1].repeat(32)}` });
const { dex, field, sides } = battle;
const [own, foe] = sides.map(side => side.active[0]);
const [bench] = sides[0].pokemon.slice(-1);

const conditions = new Set(Object.keys(dex.data.Conditions));
for (const table of ['Moves', 'Abilities', 'Items']) {
  for (const [id, entry] of Object.entries(dex.data[table])) if (entry.condition) conditions.add(id);
}
const effects = [
  ...[...conditions].map(id => dex.conditions.getByID(id)),
  ...Object.keys(dex.data.Abilities).map(id => dex.abilities.getByID(id)),
  ...Object.keys(dex.data.Items).map(id => dex.items.getByID(id)),
];
const handled = new Map(); // effect -> names of events, prefixes off and on
for (const effect of effects) {
  const names = new Set();
  for (const key of Object.keys(effect)) {
    if (!/^on[A-Z]/.test(key) || /(Order|Priority)$/.test(key)) continue;
    names.add(key.slice(2));
    names.add(key.slice(2).replace(/^(Ally|Foe|Any|Source)(?=[A-Z])/, ''));
  }
  handled.set(effect, [...names]);
}

const result = { compared: 0, found: 0, different: [] };

const MADE = new Set(['end', 'endCallArgs']); // anew for each list
const isSame = (one, other) =>
  one.length === other.length &&
  one.every((handler, i) => {
    const keys = Object.keys(handler);
    return keys.length === Object.keys(other[i]).length && keys.every(key => MADE.has(key) || handler[key] === other[i][key]);
  });

function compare(effect, place) {
  for (const name of handled.get(effect)) {
    for (const target of [own, foe, bench, battle, sides[0]]) {
      for (const source of [null, own, foe]) {
        const expected = original.call(battle, target, name, source);
        const found = battle.findEventHandlers(target, name, source);
        result.compared++;
        if (expected.length) result.found++;
        if (!isSame(found, expected)) result.different.push(`${name} of ${effect.id} as ${place}: ${target} from ${source}`);
      }
    }
  }
}

/** Compare while something is set to what it is not. */
function held(holder, key, value, effect, place) {
  const isThere = Object.hasOwn(holder, key);
  const before = holder[key];
  holder[key] = value;
  compare(effect, place);
  if (isThere) holder[key] = before;
  else delete holder[key];
}

for (const effect of effects) {
  const { id } = effect;
  const state = { id, effectOrder: 1 };
  for (const [n, pokemon] of [own, foe].entries()) {
    if (effect.effectType === 'Ability') held(pokemon, 'ability', id, effect, 'an ability');
    else if (effect.effectType === 'Item') held(pokemon, 'item', id, effect, 'an item');
    else {
      held(pokemon, 'status', id, effect, 'a status');
      held(pokemon.volatiles, id, { ...state, target: pokemon }, effect, 'a volatile');
      held(sides[n].slotConditions[0], id, { ...state, target: sides[n], isSlotCondition: true }, effect, 'of a slot');
      held(sides[n].sideConditions, id, { ...state, target: sides[n] }, effect, 'of a side');
    }
  }
  if (effect.effectType === 'Ability' || effect.effectType === 'Item') continue;
  held(field.pseudoWeather, id, { ...state, target: field }, effect, 'of the field');
  held(field, 'weather', id, effect, 'weather');
  held(field, 'terrain', id, effect, 'terrain');
}
process.stdout.write(JSON.stringify(result));
