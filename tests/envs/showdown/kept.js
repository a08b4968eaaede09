'use strict';
// node --expose-gc kept.js PACKAGE BATTLES: by how many bytes the heap grows over so many battles.

const path = require('path');
const worker = path.join(__dirname, '../../../src/poke/envs/showdown/worker');
const { loadSimulator, rulesOf } = require(path.join(worker, 'formats'));
const { Battle } = require(path.join(worker, 'battle'));

const [folder, count] = process.argv.slice(2);
const rules = rulesOf(loadSimulator(folder), 'gen1randombattle', null);
let battles = 0;

function play(n) {
  for (let i = 0; i < n; i++, battles++) {
    const seed = [0, 1, 2, 3].map(part => (4 * battles + part).toString(16).padStart(32, '0'));
    const players = ['max_base_power', 'max_base_power'];
    new Battle(rules, { seed, players, teachers: ['', ''], replay: [] }, {});
  }
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

const before = play(10); // names and tables are kept, once
console.log(play(+count) - before);
