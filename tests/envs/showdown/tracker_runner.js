'use strict';
// node tracker_runner.js PACKAGE WORKER: feed lines to a tracker and print what its player knows, by name.
// A line of JSON asks, a line answers: what is below, or {"error"}. It ends with its input.
//   {"format", "player", "layout", "tables", "lines": [...]}   -> {"actions", "choices", "observation": {global, own, opponent}}
//   the same with "teams", "choices" (a row a step, "" for none) and "seed" instead of lines: play that battle first
//   {"requests": [...], "refusals": [[request, action, error], ...]} -> {"legal": [...], "refused": [...]}

const path = require('path');
const readline = require('readline');
const [folder, worker] = process.argv.slice(2);
const { legal, choice, refuse } = require(path.join(worker, 'request'));

const actionsOf = mask =>
  Array.from({ length: 26 }, (_, action) => action).filter(action => (mask >> action) & 1);

function describe(request) {
  const actions = actionsOf(legal(request));
  return { actions, choices: actions.map(action => choice(request, action)) };
}

function entity(kind, names, bytes, at) {
  const values = {};
  for (const { name, offset, parts } of kind.dense) {
    values[name] = parts.length
      ? Object.fromEntries(
          parts.map((part, i) => [part, bytes[at + offset + i]]).filter(([, value]) => value)
        )
      : bytes[at + offset];
  }
  for (const { name, offset, table } of kind.ids) {
    const id = (bytes[at + offset] & 255) | ((bytes[at + offset + 1] & 255) << 8);
    values[name === 'move' ? 'id' : name] = id === 0 ? '' : names[table].get(id);
  }
  return values;
}

/** What a player is told of a battle of these teams and choices. */
function play({ format, player, teams, choices, seed }) {
  const { Battle, extractChannelMessages } = require(path.join(folder, 'dist', 'sim', 'battle'));
  const { Teams } = require(path.join(folder, 'dist', 'sim', 'index'));
  const lines = [];
  const battle = new Battle({
    formatid: format,
    seed,
    send(type, data) {
      const text = Array.isArray(data) ? data.join('\n') : data;
      const channel = +player[1];
      if (type === 'update') lines.push(...extractChannelMessages(text, [channel])[channel]);
      if (type === 'sideupdate' && text.startsWith(player))
        lines.push(text.slice(player.length + 1));
    },
  });
  teams.forEach((team, i) =>
    battle.setPlayer(`p${i + 1}`, { name: `p${i + 1}name`, team: Teams.import(team) })
  );
  battle.sendUpdates();
  for (const row of choices) {
    row.forEach((text, i) => {
      if (text && !battle.choose(`p${i + 1}`, text))
        throw new Error(`${text}: ${battle.sides[i].choice.error}`);
    });
    battle.sendUpdates();
  }
  return lines;
}

function observe({ format, player, layout, tables, lines }) {
  const { Dex } = require(path.join(folder, 'dist', 'sim', 'dex'));
  const { Tracker } = require(path.join(worker, 'tracker'));
  const { Encoder } = require(path.join(worker, 'observation'));
  const dex = Dex.forFormat(Dex.formats.get(format));
  const tracker = new Tracker(dex, player);
  const encoder = new Encoder({ layout, tables }, dex);
  const bytes = new Int8Array(layout.size + 2);
  let request = null;
  for (const line of lines) {
    if (line.startsWith('|request|')) tracker.request((request = JSON.parse(line.slice(9))));
    else tracker.read(line);
  }
  encoder.encode(tracker, bytes, 1);
  const names = Object.fromEntries(
    Object.entries(tables).map(([table, ids]) => [
      table,
      new Map(Object.entries(ids).map(([name, id]) => [id, name])),
    ])
  );
  const observation = { global: entity(layout.kinds.global, names, bytes, 1) };
  const { moves } = layout.kinds.pokemon;
  for (const group of layout.groups.slice(1)) {
    observation[group.name] = [];
    for (let i = 0; i < group.count; i++) {
      const at = 1 + group.offset + i * group.size;
      const pokemon = entity(layout.kinds.pokemon, names, bytes, at);
      if (!pokemon.known) continue;
      pokemon.moves = Array.from({ length: moves.count }, (_, j) =>
        entity(moves, names, bytes, at + moves.offset + j * moves.size)
      );
      pokemon.moves = pokemon.moves.filter(move => move.known);
      observation[group.name].push(pokemon);
    }
  }
  return { ...describe(request), observation, outside: [bytes[0], bytes[layout.size + 1]] };
}

function answer(input) {
  if (input.teams) input.lines = play(input);
  if (input.lines) return observe(input);
  return {
    requests: input.requests.map(describe),
    refused: (input.refusals || []).map(([request, action, error]) =>
      describe(refuse(request, action, error))
    ),
  };
}

readline.createInterface({ input: process.stdin }).on('line', line => {
  let result;
  try {
    result = answer(JSON.parse(line));
  } catch (error) {
    result = { error: error.stack };
  }
  process.stdout.write(JSON.stringify(result) + '\n');
});
