'use strict';
// node main.js PACKAGE WORKER < SETTINGS: what the importer makes of the logs of battles whose players' views are at hand.
//   {"format": "gen1randombattle", "layout": ..., "tables": ..., "battles": [first, past the last], "teams": null,
//    "teacher": who decides in place of chance, "keep": a folder for the logs}
// Prints a report as JSON.

const fs = require('fs');
const path = require('path');
const [folder, worker] = process.argv.slice(2);
const { loadSimulator, rulesOf } = require(path.join(worker, 'formats'));
const { Battle } = require(path.join(worker, 'battle'));
const { Encoder } = require(path.join(worker, 'observation'));
const { Importer } = require(path.join(worker, 'replays'));
const { Output } = require(path.join(worker, 'frames'));
const { accelerate } = require(path.join(worker, 'accelerate'));
const { Comparison, Report } = require('./compare');
const { play } = require('./play');

const settings = JSON.parse(fs.readFileSync(0, 'utf8'));
const simulator = loadSimulator(folder);
accelerate(folder, () => {});
const rules = rulesOf(simulator, settings.format, settings.teams || null);
const encoder = new Encoder(settings, rules.dex);
const output = new Output(1);
const importer = new Importer(settings, simulator, output);
const report = new Report();

let seconds = 0;
const [first, end] = settings.battles;
for (let n = first; n < end; n++) {
  const played = play({ Battle, rules, encoder, moveNumbers: settings.tables.move, PRNG: simulator.PRNG }, n, settings.teacher || '');
  if (settings.keep) fs.writeFileSync(`${settings.keep}/${n}.log`, played.log);
  output.clear();
  const begin = process.cpuUsage();
  let said;
  try {
    said = importer.read(played.log);
  } catch (error) {
    report.count(report.wrong, `error: ${error.message}`, `${settings.format} ${n}`, `${error.stack}`.split('\n').slice(0, 5).join(' '));
    continue;
  }
  seconds += process.cpuUsage(begin).user / 1e6;
  new Comparison(settings, report, `${settings.format} ${n}`).compare(played, said, output.buffer.subarray(5, output.length));
}
report.seconds = seconds;
process.stdout.write(JSON.stringify(report));
