'use strict';
// All battles of a worker: starts and actions come in, records go out.

const { Battle } = require('./battle');
const { Encoder } = require('./observation');

const NONE = 255;
const RECORD = 20; // bytes before the observation
const FLAGS = { asked: 1, ended: 2, refused: 4, lost: 8 };

class Battles {
  /**
   * @param {object} rules of formats.js
   * @param {object} settings {num_battles, layout, tables}
   * @param {import('./frames').Output} output
   */
  constructor(rules, settings, output) {
    this.rules = rules;
    this.moveNumbers = settings.tables.move;
    this.encoder = new Encoder(settings, rules.dex);
    this.size = settings.layout.size;
    this.battles = new Array(settings.num_battles).fill(null);
    this.output = output;
    this.moved = new Set(); // battles that have something to tell
    this.broken = new Set(); // those of them that an error has ended
  }

  /** Begin battles; whatever is played in their places is forgotten. */
  begin(starts) {
    for (const start of starts) {
      this.battles[start.battle] = null;
      this.attempt(start.battle, () => {
        this.battles[start.battle] = new Battle(this.rules, start, this.moveNumbers);
      });
    }
  }

  /** Take the actions of all seats, NONE where there is none, and answer with one frame. */
  act(actions) {
    for (let n = 0; n < this.battles.length; n++) {
      const pair = [actions[2 * n], actions[2 * n + 1]];
      if (pair[0] === NONE && pair[1] === NONE) continue;
      this.attempt(n, () => {
        const battle = this.battles[n];
        if (!battle) throw new Error('no battle is played here');
        for (const [seat, action] of pair.entries()) {
          if (action !== NONE) battle.answer(seat, action);
        }
        battle.move();
      });
    }
    for (let n = 0; n < this.battles.length; n++) {
      if (!this.moved.has(n)) continue;
      const { length } = this.output;
      this.attempt(n, () => this.report(n));
      if (!this.broken.has(n)) continue;
      this.output.length = length; // no half of a report
      this.put(n, 0, FLAGS.lost);
      this.put(n, 1, FLAGS.lost);
    }
    this.broken.clear();
    this.moved.clear();
    this.output.send('R');
  }

  /** An error in one battle, the simulator's or ours, costs this battle and no other. */
  attempt(n, operation) {
    this.moved.add(n);
    try {
      operation();
    } catch (error) {
      this.battles[n] = null;
      this.broken.add(n);
      const message = String((error && error.stack) || error);
      this.output.sendObject('E', { battle: n, message });
    }
  }

  /** A record for each seat that is newly asked, for both when the battle has ended. */
  report(n) {
    const battle = this.battles[n];
    if (!battle) return;
    for (let seat = 0; seat < 2; seat++) {
      if (battle.ended) this.put(n, seat, FLAGS.ended);
      else if (battle.awaits(seat) && !battle.seats[seat].told) {
        battle.seats[seat].told = true;
        this.put(n, seat, FLAGS.asked | (battle.seats[seat].wasRefused ? FLAGS.refused : 0));
      }
    }
    if (battle.ended) this.battles[n] = null;
  }

  put(n, number, flags) {
    const at = this.output.room(RECORD + this.size);
    const { buffer } = this.output;
    const battle = this.battles[n];
    const seat = battle ? battle.seats[number] : null;
    buffer.fill(0, at, at + RECORD + this.size);
    buffer.writeUInt16LE(n, at);
    buffer[at + 2] = number;
    buffer[at + 3] = flags;
    if (!battle) return;
    buffer.writeFloatLE(battle.potential(number), at + 8);
    buffer.writeUInt16LE(battle.simulated.turn, at + 14);
    buffer.writeUInt16LE(seat.refused, at + 16);
    buffer.writeUInt16LE(seat.theirs, at + 18);
    if (flags & FLAGS.ended) buffer.writeInt8(battle.outcome(number), at + 12);
    if (!(flags & FLAGS.asked)) return;
    buffer.writeUInt32LE(seat.mask, at + 4);
    buffer[at + 13] = seat.advice < 0 ? NONE : seat.advice;
    const bytes = new Int8Array(buffer.buffer, buffer.byteOffset, buffer.length);
    this.encoder.encode(seat.tracker, bytes, at + RECORD);
  }
}

module.exports = { Battles };
