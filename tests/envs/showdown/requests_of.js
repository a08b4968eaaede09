'use strict';
// node requests_of.js PACKAGE SEEDS: the sides of both first requests of a battle.

const path = require('path');
const worker = path.join(__dirname, '../../../src/poke/envs/showdown/worker');
const { loadSimulator, rulesOf } = require(path.join(worker, 'formats'));
const { Battle } = require(path.join(worker, 'battle'));

const rules = rulesOf(loadSimulator(process.argv[2]), 'gen1randombattle', null);
const start = { seed: JSON.parse(process.argv[3]), players: ['asked', 'asked'], replay: [] };
const battle = new Battle(rules, start, {});
console.log(JSON.stringify(battle.seats.map(seat => seat.request.side)));
