'use strict';
// Battles that others have played, from their logs: what either player saw at each decision, and what it chose.

const { loadForReading, dexOf } = require('../formats');
const { Encoder } = require('../observation');
const { Log, Unreadable, reading } = require('./log');
const { Revealed } = require('./sheets');
const { Decisions } = require('./decisions');
const { View } = require('./view');
const { Marks } = require('./marks');

const IDS = ['p1', 'p2'];
const HEAD = 16; // bytes of a row before the observation
const NONE = 255;

class Importer {
  constructor(settings, simulator, output) {
    const dex = dexOf(simulator, settings.format);
    this.dex = dex;
    this.unpack = packed => simulator.Teams.unpack(packed);
    this.format = settings.format;
    this.encoder = new Encoder(settings, dex);
    this.marks = new Marks(settings.layout);
    this.size = settings.layout.size;
    this.packed = 2 * ((this.size + 7) >> 3);
    this.output = output;
  }

  /** Put all rows of a log, and return what it says of its players. */
  read(text) {
    const log = new Log(text);
    log.check(this.format, this.dex);
    const players = IDS.map(id => this.readFor(log, id));
    return { players };
  }

  readFor(log, id) {
    const { length } = this.output;
    const revealed = new Revealed(this.dex, log, id, this.unpack);
    const view = new View(this.dex, log, revealed);
    let decisions = 0;
    let unknown = 0;
    for (const decision of new Decisions(log, id).all) {
      const action = reading(log.lines[decision.at - 1], () => this.decide(view, decision));
      if (action === null) continue;
      decisions++;
      if (action < 0) unknown++;
    }
    const { names, rating } = log.players[id];
    return { decisions, unknown, names, rating, outcome: log.outcome(id), bytes: this.output.length - length };
  }

  /** Put the row of a decision, and return the action, -1 where it is unknown; null: there was nothing to decide. */
  decide(view, decision) {
    const mask = view.ask(decision);
    if (view.isForced(decision, mask)) return null;
    const action = view.chosen(decision, mask);
    this.put(view, decision, mask, action);
    return action;
  }

  put(view, decision, mask, action) {
    const { output, size, packed } = this;
    const at = output.room(HEAD + size + packed);
    const { buffer } = output;
    const bytes = new Int8Array(buffer.buffer, buffer.byteOffset, buffer.length);
    this.encoder.encode(view.tracker, bytes, at + HEAD);
    this.marks.judge(view, decision);
    this.marks.pack(bytes, at + HEAD, buffer, at + HEAD + size);
    const [legal, known, filled] = this.marks.masks(view, decision, mask, action);
    buffer.writeUInt32LE(legal, at);
    buffer.writeUInt32LE(known, at + 4);
    buffer.writeUInt32LE(filled, at + 8);
    buffer.writeUInt16LE(view.tracker.turn, at + 12);
    buffer[at + 14] = action < 0 ? NONE : action;
    buffer[at + 15] = IDS.indexOf(view.id) | (decision.isSwitch ? 2 : 0);
  }
}

/** Answer the frames of mode `replays` (see main.js) until the input ends. */
function importReplays(input, output, settings, folder) {
  const importer = new Importer(settings, loadForReading(folder), output);
  output.sendObject('H', { generation: importer.dex.gen });
  for (;;) {
    const { kind, payload } = input.next();
    if (kind !== 'L') throw new Error(`unknown frame ${kind}`);
    try {
      const said = Buffer.from(JSON.stringify(importer.read(payload.toString())));
      const at = output.room(said.length + 4);
      said.copy(output.buffer, at);
      output.buffer.writeUInt32LE(said.length, at + said.length);
      output.send('L');
    } catch (error) {
      output.clear();
      if (!(error instanceof Unreadable)) throw error;
      output.sendObject('E', { message: error.message, line: error.line });
    }
  }
}

module.exports = { Importer, importReplays };
