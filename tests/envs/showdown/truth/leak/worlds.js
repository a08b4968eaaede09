'use strict';
// Battles as the worker plays them, with what a player's opponent hides; and worlds in which just that is different.

const path = require('path');
const { createHash } = require('crypto');

const clone = value => JSON.parse(JSON.stringify(value));
const ids = slots => slots.map(slot => slot.id);

/** What a side hides, by kind, as text. */
const HIDDEN = {
  moves: side => side.pokemon.map(p => ids(p.baseMoveSlots)),
  bench: side => side.pokemon.filter(p => !p.isActive).map(p => p.baseSpecies.id),
  hp: side => side.pokemon.map(p => [p.hp, p.maxhp]),
  stats: side => side.pokemon.map(p => p.baseStoredStats),
  item: side => side.pokemon.map(p => p.item),
  ability: side => side.pokemon.map(p => p.ability),
  tera: side => side.pokemon.map(p => p.teraType),
  illusion: side => side.active.map(p => p && p.species.id),
  dice: side => side.battle.prng.getSeed(),
};

/** What a side hides now, by kind. */
function hiddenOf(side) {
  return Object.fromEntries(Object.keys(HIDDEN).map(kind => [kind, JSON.stringify(HIDDEN[kind](side))]));
}

/** A battle of the worker that one player watches. */
class World {
  /**
   * @param parts of `load`: the simulator and the worker's own modules
   * @param format of the battle
   * @param seed a number
   * @param teams of both players
   * @param seat who watches: 0 or 1
   * @param dice a number, another one for other dice
   */
  constructor(parts, { format, seed, teams, seat, dice = 0 }) {
    const { simulator } = parts;
    const seeds = [dice, 1, 2, 3].map(k => (seed * 16 + k + 1).toString(16).padStart(32, '0'));
    const teamOf = Object.fromEntries(teams.map((team, n) => [`sodium,${seeds[1 + n]}`, team]));
    const dex = simulator.Dex.forFormat(format);
    const rules = { simulator, format, dex, team: teamSeed => ({ team: clone(teamOf[teamSeed]) }) };
    this.parts = parts;
    this.battle = new parts.Battle(rules, { seed: seeds, players: ['asked', 'asked'], teachers: ['', ''], replay: [] }, {});
    this.seat = seat;
    this.read = 0;
    this.bytes = new Int8Array(parts.layout.size);
    this.told = []; // what the watching player has been told, in the simulator's own words
    this.digest = createHash('sha1');
    this.refused = 0;
  }

  get simulated() {
    return this.battle.simulated;
  }

  get foe() {
    return this.simulated.sides[1 - this.seat];
  }

  /**
   * Play on.
   * @param choose (seat, mask, key) => action, -1 to stop
   * @param decision called at each of the watching player's decisions; false to stop
   */
  play(choose, decision) {
    const { battle, simulated } = this;
    for (let step = 0; step < 600 && !battle.ended; step++) {
      this.listen();
      for (const n of [0, 1]) {
        if (!battle.awaits(n)) continue;
        if (n === this.seat && decision(this) === false) return;
        const { mask, refused } = battle.seats[n];
        const action = choose(n, mask, `${n} ${simulated.turn} ${simulated.requestState} ${refused}`);
        if (action < 0) return;
        if (n === this.seat) this.note(`|action|${action}`);
        battle.answer(n, action);
      }
      battle.move();
    }
  }

  /** Note what the player has been told since: the simulator splits its own log, the worker has no part in it. */
  listen() {
    const { simulated, seat, parts } = this;
    const { refused, request } = this.battle.seats[seat];
    const isRefused = refused > this.refused;
    const log = simulated.log.slice(this.read);
    const channel = log.length ? parts.simulator.extractChannelMessages(log.join('\n'), [seat + 1])[seat + 1] : [];
    for (const line of channel) if (line && !line.startsWith('|t:|')) this.note(line);
    if (log.length || isRefused) this.note(`|request|${JSON.stringify(request)}`);
    this.read = simulated.log.length;
    this.refused = refused;
  }

  /** What the watching player sees now. `peek`, a kind of hidden thing, makes it see that too: a leak. */
  observe(peek) {
    const { tracker } = this.battle.seats[this.seat];
    tracker.image = null; // nothing that was encoded before
    this.parts.encoder.encode(tracker, this.bytes, 0);
    if (peek) this.bytes[0] ^= createHash('sha1').update(hiddenOf(this.foe)[peek]).digest()[0];
    return Buffer.from(this.bytes).toString('base64');
  }

  note(line) {
    this.told.push(line);
    this.digest.update(`${line}\n`);
  }

  /** All that the watching player has been told and did, in short. */
  view() {
    return this.digest.copy().digest('hex');
  }
}

/** The simulator, and the worker's modules for a format. */
function load(folder, worker, settings) {
  const { loadSimulator } = require(path.join(worker, 'formats'));
  const { Battle } = require(path.join(worker, 'battle'));
  const { Encoder } = require(path.join(worker, 'observation'));
  const simulator = loadSimulator(folder);
  const format = simulator.Dex.formats.get(settings.format);
  const encoder = new Encoder(settings, simulator.Dex.forFormat(format));
  return { simulator, format, Battle, encoder, layout: settings.layout };
}

module.exports = { World, load, hiddenOf, HIDDEN, clone };
