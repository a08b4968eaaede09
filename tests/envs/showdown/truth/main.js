'use strict';
// node main.js PACKAGE WORKER < SETTINGS: what the tracker makes of battles against the simulator's state.
//   {"format": "gen1randombattle", "layout": ..., "tables": ..., "battles": [0, 1, 2], "fuzz": false}
// Prints a report as JSON.

const fs = require('fs');
const path = require('path');
const [folder, worker] = process.argv.slice(2);
const { Battle } = require(path.join(folder, 'dist', 'sim', 'battle'));
const { Dex, PRNG } = require(path.join(folder, 'dist', 'sim', 'index'));
const { Tracker } = require(path.join(worker, 'tracker'));
const { Encoder } = require(path.join(worker, 'observation'));
const { legal, choice } = require(path.join(worker, 'request'));
const { Table } = require('./play');
const { Ledger } = require('./ledger');
const { Expected } = require('./expected');
const { Report, Reader, Comparison } = require('./compare');
const { Fuzz } = require('./teams');

const settings = JSON.parse(fs.readFileSync(0, 'utf8'));
const { layout, tables } = settings;
const format = Dex.formats.get(settings.format);
const dex = Dex.forFormat(format);
const encoder = new Encoder({ layout, tables }, dex);
const reader = new Reader(layout, tables);
const bytes = new Int8Array(layout.size);
const report = new Report();

const texts = (request, mask) =>
  Array.from({ length: 26 }, (_, action) => action).filter(a => (mask >> a) & 1).map(a => choice(request, a));

/** Every legal choice, most often one kind of them alone: moves that change much, switches, plain moves. */
function candidates(request, prng) {
  const mask = legal(request);
  const kinds = [mask & ~1023, mask & 63, mask & 960, mask & 960, mask & 960];
  const kind = kinds[prng.random(kinds.length)];
  const first = texts(request, kind);
  // If all of a kind are refused, whatever is legal is tried.
  return first.length ? { first, rest: texts(request, mask & ~kind) } : { first: texts(request, mask), rest: [] };
}

function play(seed) {
  const ledger = new Ledger();
  const where = side => `${settings.format}${settings.fuzz ? ' fuzz' : ''} ${seed} ${side.id} turn ${side.battle.turn}`;
  const table = new Table({
    simulator: { Battle, PRNG },
    format,
    seed,
    fuzz: settings.fuzz ? new Fuzz(dex, null) : null,
    makeTracker: id => new Tracker(dex, id),
    requestsFirst: seed % 2 === 1,
    ledger,
  });
  table.play({
    candidates,
    onRefused: (side, text) => {
      report.refused++;
      if (!/trapped|is disabled/.test(side.choice.error)) report.count(report.wrongMasks, 'refused', where(side), text, side.choice.error);
    },
    inspect: (side, i) => {
      const request = side.activeRequest;
      const mask = legal(request);
      const comparison = new Comparison(report, where(side));
      comparison.mask(request, mask, side, choice);
      encoder.encode(table.trackers[i], bytes, 0);
      const expected = new Expected({ battle: table.battle, side, ledger, layout, tables, mask, request });
      comparison.observation(reader.read(bytes), expected);
    },
  });
}

for (const seed of settings.battles) {
  try {
    play(seed);
  } catch (error) {
    report.count(report.wrong, `exception: ${error.message.slice(0, 80)}`, `${settings.format} ${seed}`, error.stack.split('\n').slice(0, 4));
  }
}
process.stdout.write(JSON.stringify(report));
