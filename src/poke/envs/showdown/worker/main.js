'use strict';
// A worker: `node main.js PACKAGE_DIR`. Speaks frames (see frames.js) over stdin and stdout.
//
// First frame in, 'S', JSON settings: {mode: 'battles' | 'lines' | 'replays', layout, tables (see layout.py)}.
//
// Mode `battles`: many battles of the simulator, many decisions a frame. Further settings {format, num_battles,
// accelerate, teams: null | {name, text}}, answered by 'H', JSON {players: the names that `players` below may be, notes:
// lines for the log}, or by 'N', JSON {message, known}: refused, and the end.
//   in  'B'  JSON list of {battle, seed: [battle, p1's team, p2's team, scripted players: hex], players: [p1,
//            p2: 'asked' or a name of opponents/], teachers: [p1, p2: '' or a name of opponents/, whose choice is
//            told to a seat that is asked], replay: [[seat, action], ...]}: begin. Not answered by itself.
//   in  'A'  2 * num_battles bytes: the action of each battle's p1 and p2, 255: none. Answered by one 'R'.
//   out 'E'  JSON {battle, message}: an error has ended this battle. Comes before its 'R'.
//   out 'R'  records of the seats that have to answer, and of both seats of battles that are over (battles.js).
//
// Mode `lines`: a player's lines and requests of battles that are played elsewhere. One answer to each frame but 'X';
// 'E', JSON {message, known, refused}, where it cannot be given.
//   in  'O'  JSON {battle: any number, format (or 'gen1'), player: 'p1' | 'p2', requestsFirst: whether requests come
//            before their lines, null where that is to be seen}: follow. Answer 'O', JSON {generation}.
//   in  'D'  JSON {battle, lines}: read them, in order, |request| and |error| ones as a server sends them included.
//            Answer 'D': u8 state (0 nothing to choose, 1 asked, 2 only one choice), u8 1 if the last choice was
//            refused, u32 mask, observation (zeros unless there is something to choose), the text of an only choice.
//   in  'C'  JSON {battle, lines, action}. Answer 'C': JSON string, the choice as a server takes it: 'move 2 mega'.
//   in  'P'  JSON {battle, lines, player: a name of opponents/}. Answer 'P': JSON number, the action it would choose.
//   in  'T'  JSON {format, teams: null | {name, text}}. Answer 'T': JSON list of the packed teams, each valid in the
//            format; none where it draws its own.
//   in  'X'  JSON {battle}: forget it. No answer.
//
// Mode `replays`: logs of battles as servers save them. Further setting {format}, answered by 'H', JSON {generation}, or
// by 'N' as above.
//   in  'L'  the text of a log. Answer 'L': rows of p1, then of p2 (replays/index.js), JSON {players: of each
//            {decisions, unknown, names, rating, outcome}}, u32 its length; or 'E', JSON {message, line}: it is no
//            battle to learn from.

const { Input, Output } = require('./frames');
const { Refused, loadSimulator, rulesOf } = require('./formats');
const { accelerate } = require('./accelerate');
const { Battles } = require('./battles');
const { followLines } = require('./lines');
const { importReplays } = require('./replays');
const opponents = require('./opponents');

console.log = console.error; // stdout is for frames

function playBattles(input, output, settings, folder) {
  const simulator = loadSimulator(folder);
  const notes = [];
  if (settings.accelerate) accelerate(folder, note => notes.push(note));
  const rules = rulesOf(simulator, settings.format, settings.teams);
  const battles = new Battles(rules, settings, output);
  output.sendObject('H', { players: ['asked', ...opponents.names], notes });
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
  const run = { battles: playBattles, lines: followLines, replays: importReplays }[settings.mode];
  try {
    run(input, output, settings, folder);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    output.sendObject('N', { message: error.message, known: error.known || [] });
  }
}

main(process.argv[2]);
