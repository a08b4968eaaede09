'use strict';
// Faster equals of the simulator's hot functions, put in place when the process starts. Nothing is forked and no
// file of the package is touched: a function is replaced only where everything that the replacement's reasoning
// has read is, to the letter, what it was written for. What each one does, and why it is the same, stands beside it.
//
// A file of this folder exports replacements:
//   name   'Battle.runEvent': the class of the package's dist/sim and the method
//   reads  other methods whose source it relies on
//   make   (original, simulator, isPlain) => the function in its place; `isPlain(battle)` says whether the battle's
//          format and generation leave all these methods as they are: some generations bring their own

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const known = require('./known.json');

const REPLACEMENTS = [
  ...require('./events'),
  ...require('./moves'),
  ...require('./dice'),
  ...require('./teams'),
  ...require('./learnsets'),
];

// Files of dist/sim by the classes in them.
const CLASSES = {
  Battle: 'battle', BattleActions: 'battle-actions', BattleQueue: 'battle-queue', Pokemon: 'pokemon', Side: 'side',
  Field: 'field', ModdedDex: 'dex', DexConditions: 'dex-conditions', DexAbilities: 'dex-abilities',
  DexItems: 'dex-items', DexMoves: 'dex-moves', SodiumRNG: 'prng',
};

/** Where a format's rules or a mod's scripts replace methods of a class, by the name of their part. */
const SCRIPTED = {
  Battle: null, BattleActions: 'actions', BattleQueue: 'queue', Pokemon: 'pokemon', Side: 'side', Field: 'field',
};

function load(folder) {
  const simulator = {};
  for (const [name, file] of Object.entries(CLASSES)) {
    simulator[name] = require(path.join(folder, 'dist', 'sim', file))[name];
  }
  simulator.Teams = require(path.join(folder, 'dist', 'sim', 'teams')).Teams;
  return simulator;
}

function methodOf(simulator, name) {
  const [owner, method] = name.split('.');
  return simulator[owner] && simulator[owner].prototype[method];
}

/** A hash of the source of each method that a replacement stands for or relies on. */
function hashes(simulator) {
  const names = new Set(REPLACEMENTS.flatMap(({ name, reads }) => [name, ...reads]));
  const found = {};
  for (const name of [...names].sort()) {
    const source = String(methodOf(simulator, name));
    found[name] = crypto.createHash('sha256').update(source).digest('hex').slice(0, 16);
  }
  return found;
}

/** Whether a battle's format and generation leave the methods of a list as the package has them. */
function plainness(names) {
  const formats = new WeakMap();
  const methods = names.map(name => name.split('.')).filter(([owner]) => owner in SCRIPTED);
  function ask({ format, dex }) {
    const { Scripts } = dex.data;
    return methods.every(([owner, method]) => {
      const part = SCRIPTED[owner];
      const scripts = part ? [Scripts[part], format[part]] : [Scripts, format.battle];
      return !scripts.some(script => script && Object.hasOwn(script, method));
    });
  }
  let last = null;
  let isPlain = false;
  return battle => {
    if (battle.format === last) return isPlain;
    last = battle.format;
    isPlain = formats.get(last);
    if (isPlain === undefined) formats.set(last, (isPlain = ask(battle)));
    return isPlain;
  };
}

/**
 * Replace what can be. May be called once a process; call it before the first battle.
 *
 * @param {string} folder of the package
 * @param {(line: string) => void} say gets one line for each function that stays as it is
 * @param {string[]} [only] names of replacements, to measure them one by one
 * @returns {string[]} the names of the functions that were replaced
 */
function accelerate(folder, say, only) {
  const { version } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const simulator = load(folder);
  const found = hashes(simulator);
  const done = [];
  const wanted = REPLACEMENTS.filter(({ name }) => !only || only.includes(name));
  const plan = wanted.filter(({ name, reads }) => {
    const strange = version === known.version ? [name, ...reads].filter(read => found[read] !== known.hashes[read]) : [];
    const why = version === known.version ? strange.join(', ') : `pokemon-showdown ${version}`;
    if (why) say(`not accelerated: ${name}, because ${why} is not as known (${known.version})`);
    return !why;
  });
  for (const { name, reads, make } of plan) {
    const [owner, method] = name.split('.');
    const { prototype } = simulator[owner];
    prototype[method] = make(prototype[method], simulator, plainness([name, ...reads]));
    done.push(name);
  }
  return done;
}

module.exports = { accelerate, hashes, load };

// `node accelerate PACKAGE` prints known.json for a package whose functions have been read anew.
if (require.main === module) {
  const [, , folder] = process.argv;
  const { version } = require(path.join(folder, 'package.json'));
  process.stdout.write(`${JSON.stringify({ version, hashes: hashes(load(folder)) }, null, 2)}\n`);
}
