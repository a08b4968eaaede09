'use strict';
// node table.js PACKAGE: one battle of the simulator by lines, as a server has it.
//   in   first JSON {format, seed, names: [p1, p2], teams: [packed, packed] or none}, then lines 'p1 move 1'
//   out  a line for each line in: JSON list of [seat, lines], each a message to that seat

const path = require('path');
const readline = require('readline');

const folder = process.argv[2];
const { Battle } = require(path.join(folder, 'dist', 'sim'));
const { extractChannelMessages } = require(path.join(folder, 'dist', 'sim', 'battle'));

let battle = null;
let told = [];

function send(kind, data) {
  if (kind === 'update') {
    const channels = extractChannelMessages(data.join('\n'), [1, 2]);
    told.push(['p1', channels[1]], ['p2', channels[2]]);
  } else if (kind === 'sideupdate') {
    told.push([data.slice(0, 2), data.slice(3).split('\n')]);
  }
}

function begin({ format, seed, names, teams = [] }) {
  const seeds = k => `sodium,${(seed * 4 + k).toString(16).padStart(32, '0')}`;
  battle = new Battle({ formatid: format, seed: seeds(0), send });
  names.forEach((name, i) => battle.setPlayer(`p${i + 1}`, { name, seed: seeds(i + 1), team: teams[i] }));
}

readline.createInterface({ input: process.stdin }).on('line', line => {
  if (battle) battle.choose(line.slice(0, 2), line.slice(3));
  else begin(JSON.parse(line));
  battle.sendUpdates();
  console.log(JSON.stringify(told));
  told = [];
});
