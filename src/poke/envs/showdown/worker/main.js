'use strict';
// A worker: `node main.js PACKAGE_DIR`. Speaks frames (see frames.js) over stdin and stdout.
//
// First frame in, 'S', JSON settings: {mode: 'battles', format, num_battles, accelerate, teams: null | {name,
// text}, layout, tables}. Answer 'H', JSON: {generation}; or 'N', JSON {message, known}: refused, the end.
//
// Mode `battles`:
//   in  'B'  JSON list of {battle, seed: [battle, p1's team, p2's team, scripted players: hex], players: [p1,
//            p2: 'asked' or a name of opponents/], replay: [[seat, action], ...]}: begin. Not answered by itself.
//   in  'A'  2 * num_battles bytes: the action of each battle's p1 and p2, 255: none. Answered by one 'R'.
//   out 'E'  JSON {battle, message}: an error has ended this battle.
//   out 'R'  records of the seats that have to answer, and both seats of battles that are over (battles.js).

const { Input, Output } = require('./frames');
const { Refused, loadSimulator, rulesOf } = require('./formats');
const { Battles } = require('./battles');
const observation = require('./observation');

console.log = console.error; // stdout is for frames

function playBattles(input, output, settings, rules) {
  const battles = new Battles(rules, settings.num_battles, settings.layout.size, output);
  for (;;) {
    const { kind, payload } = input.next();
    if (kind === 'B') battles.begin(JSON.parse(payload));
    else if (kind === 'A') battles.act(payload);
    else throw new Error(`unknown frame ${kind}`);
  }
}

function main(folder) {
  const input = new Input(0);
  const output = new Output(1);
  const settings = JSON.parse(input.next().payload);
  const simulator = loadSimulator(folder);
  try {
    const rules = rulesOf(simulator, settings.format, settings.teams, settings.tables.move);
    observation.configure(settings.layout, settings.tables);
    output.sendObject('H', { generation: rules.dex.gen });
    playBattles(input, output, settings, rules);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    output.sendObject('N', { message: error.message, known: error.known || [] });
  }
}

main(process.argv[2]);
