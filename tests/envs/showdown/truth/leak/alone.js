'use strict';
// node alone.js PACKAGE WORKER < SETTINGS: the observations of battles from nothing but the text their players were told.
// No battle is played here, and the worker's modules run in a context that has no clock, no dice, no files and no
// module of the simulator. Requests are handed over as servers do, before the lines they belong to.
//   {"format": ..., "layout": ..., "tables": ..., "told": [{"player": "p1", "told": [lines]}]}

const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, worker] = process.argv.slice(2);
const settings = JSON.parse(fs.readFileSync(0, 'utf8'));
const { Dex } = require(path.join(folder, 'dist', 'sim', 'dex'));

const context = vm.createContext({}, { codeGeneration: { strings: false, wasm: false } });
vm.runInContext('delete Math.random; delete globalThis.Date; delete globalThis.WeakRef;', context);
const modules = new Map();

/** Load a module of the worker, and what it asks for, into the context. */
function load(file) {
  const found = [file, `${file}.js`, path.join(file, 'index.js')].find(name => fs.existsSync(name) && fs.statSync(name).isFile());
  if (!modules.has(found)) {
    const module = { exports: {} };
    modules.set(found, module);
    const run = vm.runInContext(`(function (module, exports, require) {${fs.readFileSync(found, 'utf8')}\n})`, context, { filename: found });
    run(module, module.exports, name => {
      if (!name.startsWith('.')) throw new Error(`${found} asks for ${name}`);
      return load(path.join(path.dirname(found), name));
    });
  }
  return modules.get(found).exports;
}

const { Tracker } = load(path.join(worker, 'tracker'));
const { Encoder } = load(path.join(worker, 'observation'));
const dex = Dex.forFormat(Dex.formats.get(settings.format));
const encoder = new Encoder(settings, dex);
const report = { decisions: 0, different: 0 };

/** Put each request before the lines since the one before it. */
function requestsFirst(told) {
  const ordered = [];
  let since = 0;
  for (const line of told) {
    if (line.startsWith('|request|')) ordered.splice(since, 0, line);
    else ordered.push(line);
    if (line.startsWith('|request|') || line.startsWith('|observation|')) since = ordered.length;
  }
  return ordered;
}

for (const { player, told } of settings.told) {
  const tracker = new Tracker(dex, player);
  for (const line of requestsFirst(told)) {
    if (line.startsWith('|request|')) tracker.request(JSON.parse(line.slice(9)));
    else if (line.startsWith('|observation|')) compare(tracker, line.slice(13));
    else tracker.read(line);
  }
}

function compare(tracker, wanted) {
  const bytes = new Int8Array(settings.layout.size);
  encoder.encode(tracker, bytes, 0);
  report.decisions++;
  if (Buffer.from(bytes).toString('base64') !== wanted) report.different++;
}

fs.writeSync(1, JSON.stringify(report));
