'use strict';
// node positions.js PACKAGE FORMAT SEED COUNT: positions of battles between the worker's players, what these see there
// and what they choose, a JSON line each: {battle, player, lines (of this player, since its last position), request,
// sees, choices: {simple_heuristics, max_base_power}}, the choices as the simulator takes them.

const path = require('path');

const worker = path.join(__dirname, '../../../../src/poke/envs/showdown/worker');
const { legal, choice, refuse, moveOf } = require(path.join(worker, 'request'));
const { Tracker } = require(path.join(worker, 'tracker'));
const { choose } = require(path.join(worker, 'opponents'));

const [, , folder, format, seed, count] = process.argv;
const part = name => require(path.join(folder, 'dist', 'sim', name));
const { Battle, extractChannelMessages } = part('battle');
const { Dex } = part('dex');

const PLAYERS = ['simple_heuristics', 'max_base_power', 'random'];
const IDS = ['p1', 'p2'];
let state = +seed;

function integer(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}

const bits = mask => mask.toString(2).split('1').length - 1;

function seen(pokemon) {
  return {
    species: pokemon.species.id, types: pokemon.types.names, base: pokemon.species.base,
    hp: pokemon.fainted ? 0 : pokemon.hp / pokemon.maxhp, fainted: pokemon.fainted,
    boosts: Object.fromEntries(['atk', 'def', 'spa', 'spd'].map((stat, i) => [stat, pokemon.boosts[i]])),
  };
}

/** What the rules of the players ask for. */
function sees(tracker, request, mask) {
  const { own, opponent } = tracker;
  const actions = [...Array(26).keys()].filter(action => (mask >> action) & 1);
  const entry = request.side.pokemon.find(one => one.active);
  return {
    team: own.team.map(seen), active: own.team.indexOf(own.active), stats: entry.stats,
    tera: own.active.teraType, isDynamaxed: own.active.has('dynamax'),
    foe: opponent.active && seen(opponent.active),
    foesFainted: opponent.team.filter(pokemon => pokemon.fainted).length,
    moves: actions.filter(action => action >= 6 && action < 10).map(action => moveOf(request, action)),
    named: entry.moves, switches: actions.filter(action => action < 6),
    conditions: [...own.conditions.keys()].sort(), foeConditions: [...opponent.conditions.keys()].sort(),
    canDynamax: mask >> 18 & 15 ? true : false, canTera: mask >> 22 & 15 ? true : false,
  };
}

class Seat {
  constructor(dex, id, player) {
    this.id = id;
    this.player = player;
    this.tracker = new Tracker(dex, id);
    this.lines = [];
    this.request = null;
  }

  decide(number, tell) {
    const { tracker, request } = this;
    const mask = legal(request);
    tracker.settle();
    if (bits(mask) > 1) {
      const choices = {};
      for (const name of ['simple_heuristics', 'max_base_power']) {
        choices[name] = choice(request, choose(name, tracker, request, mask, integer));
      }
      const { id: player, lines } = this;
      tell({ battle: number, player, lines, request, sees: sees(tracker, request, mask), choices });
      this.lines = [];
    }
    return choose(this.player, tracker, request, mask, integer);
  }
}

function play(number, tell) {
  const hex = () => `sodium,${[0, 0, 0, 0].map(() => integer(2 ** 32).toString(16).padStart(8, '0')).join('')}`;
  const seats = IDS.map(id => new Seat(Dex.forFormat(Dex.formats.get(format)), id, PLAYERS[integer(PLAYERS.length)]));
  const send = (kind, data) => {
    if (kind === 'update') {
      const channels = extractChannelMessages(data.join('\n'), [1, 2]);
      seats.forEach((seat, n) => {
        for (const line of channels[n + 1]) seat.tracker.read(line);
        seat.lines.push(...channels[n + 1]);
      });
    } else if (kind === 'sideupdate' && data.slice(3).startsWith('|request|')) {
      const seat = seats[IDS.indexOf(data.slice(0, 2))];
      seat.request = JSON.parse(data.slice('p1\n|request|'.length));
      if (seat.request) seat.tracker.request(seat.request);
    }
  };
  const battle = new Battle({ formatid: format, seed: hex(), send });
  for (const id of IDS) battle.setPlayer(id, { name: id, seed: hex() });
  battle.sendUpdates();
  while (!battle.ended) {
    for (const [n, seat] of seats.entries()) {
      if (!seat.request || seat.request.wait) continue;
      if (seat.request.teamPreview) {
        battle.choose(seat.id, 'default');
        continue;
      }
      for (;;) {
        const action = seat.decide(number, tell);
        if (battle.choose(seat.id, choice(seat.request, action))) break;
        seat.request = refuse(seat.request, action, battle.sides[n].choice.error);
        seat.tracker.request(seat.request);
      }
    }
    battle.sendUpdates();
  }
}

let told = 0;
for (let number = 0; told < +count; number++) {
  play(number, position => {
    if (told++ < +count) process.stdout.write(`${JSON.stringify(position)}\n`);
  });
}
