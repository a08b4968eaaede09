'use strict';
// node heard.js PACKAGE BATTLES: lines and requests that a worker's battle hands out, against the simulator's sendUpdates().

const path = require('path');
const worker = path.join(__dirname, '../../../src/poke/envs/showdown/worker');
const { loadSimulator, rulesOf } = require(path.join(worker, 'formats'));
const { Battle } = require(path.join(worker, 'battle'));
const { Tracker } = require(path.join(worker, 'tracker'));

const [folder, count] = process.argv.slice(2);
const simulator = loadSimulator(folder);
const { extractChannelMessages } = require(path.join(folder, 'dist', 'sim', 'battle'));

let sent = { p1: [], p2: [] };
let heard = { p1: [], p2: [] };

class Sending extends simulator.Battle {
  constructor(options) {
    const send = (type, data) => {
      options.send(type, data);
      Sending.take(type, data);
    };
    super({ ...options, send });
  }

  static take(type, data) {
    if (type === 'update') {
      const channels = extractChannelMessages(data.join('\n'), [1, 2]);
      sent.p1.push(...channels[1]);
      sent.p2.push(...channels[2]);
    } else if (type === 'sideupdate' && !data.includes('\n|error|')) {
      sent[data.slice(0, 2)].push(data.slice(3));
    }
  }
}

simulator.Battle = Sending;

const { hear } = Battle.prototype;
Battle.prototype.hear = function () {
  this.simulated.sentLogPos = this.read;
  this.simulated.sendUpdates();
  hear.call(this);
};
for (const name of ['read', 'request']) {
  const original = Tracker.prototype[name];
  Tracker.prototype[name] = function (given) {
    const line = name === 'read' ? given : `|request|${JSON.stringify(given)}`;
    heard[this.id].push(line);
    return original.call(this, given);
  };
}

function play(rules, seed) {
  sent = { p1: [], p2: [] };
  heard = { p1: [], p2: [] };
  const players = ['random', 'random'];
  new Battle(rules, { seed, players, replay: [] }, {}); // plays to its end
  const counts = { lines: 0, requests: 0, different: 0 };
  for (const id of ['p1', 'p2']) {
    // a request that nobody answers is none: after the end the simulator sends null
    const wanted = sent[id].filter(line => line !== '|request|null' && line);
    for (let i = 0; i < Math.max(wanted.length, heard[id].length); i++) {
      if (wanted[i] !== heard[id][i]) counts.different++;
      counts[String(wanted[i]).startsWith('|request|') ? 'requests' : 'lines']++;
    }
  }
  return counts;
}

const told = {};
for (let gen = 1; gen <= 9; gen++) {
  const rules = rulesOf(simulator, `gen${gen}randombattle`, null);
  const sum = { lines: 0, requests: 0, different: 0 };
  for (let n = 0; n < +count; n++) {
    const seed = [0, 1, 2, 3].map(part => (part + 4 * n + 1).toString(16).padStart(32, '0'));
    const counts = play(rules, seed);
    for (const key in sum) sum[key] += counts[key];
  }
  told[`gen${gen}randombattle`] = sum;
}
console.log(JSON.stringify(told));
