'use strict';
// Battles that others have played, from their logs: what either player saw at each decision, and what it chose.

const { loadSimulator, dexOf } = require('../formats');
const { Encoder } = require('../observation');
const { Log, Unreadable } = require('./log');
const { Revealed } = require('./sheets');
const { Decisions } = require('./decisions');
const { View } = require('./view');
const { Marks } = require('./marks');

const IDS = ['p1', 'p2'];
const HEAD = 16; // bytes of a row before the observation
const NONE = 255;

class Importer {
  constructor(settings, dex, format, output) {
    this.dex = dex;
    this.format = format;
    this.encoder = new Encoder(settings, dex);
    this.marks = new Marks(settings.layout);
    this.size = settings.layout.size;
    this.packed = 2 * ((this.size + 7) >> 3);
    this.output = output;
  }

  /** Put all rows of a log, and return what it says of its players. */
  read(text) {
    const log = new Log(text);
    log.check(this.format, this.dex.gen);
    const players = IDS.map(id => this.readFor(log, id));
    return { players };
  }

  readFor(log, id) {
    const { length } = this.output;
    const revealed = new Revealed(this.dex, log, id);
    const view = new View(this.dex, log, revealed);
    let decisions = 0;
    let unknown = 0;
    for (const decision of new Decisions(log, id).all) {
      const mask = view.ask(decision);
      if (view.isForced(decision, mask)) continue;
      const action = view.chosen(decision, mask);
      this.put(view, decision, mask, action, id);
      decisions++;
      if (action < 0) unknown++;
    }
    const { names, rating } = log.players[id];
    return { decisions, unknown, names, rating, outcome: log.outcome(id), bytes: this.output.length - length };
  }

  put(view, decision, mask, action, id) {
    const { output, size, packed } = this;
    const at = output.room(HEAD + size + packed);
    const { buffer } = output;
    const bytes = new Int8Array(buffer.buffer, buffer.byteOffset, buffer.length);
    this.encoder.encode(view.tracker, bytes, at + HEAD);
    this.marks.judge(view, decision);
    this.marks.pack(bytes, at + HEAD, buffer, at + HEAD + size);
    const [legal, known, filled] = view.masks(decision, mask);
    buffer.writeUInt32LE(legal, at);
    buffer.writeUInt32LE(known, at + 4);
    buffer.writeUInt32LE(filled, at + 8);
    buffer.writeUInt16LE(view.tracker.turn, at + 12);
    buffer[at + 14] = action < 0 ? NONE : action;
    buffer[at + 15] = IDS.indexOf(id) | (decision.isSwitch ? 2 : 0);
  }
}

module.exports = { Importer };
