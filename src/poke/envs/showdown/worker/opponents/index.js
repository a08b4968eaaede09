'use strict';
// Players that decide in the worker, by what they see: a tracker and a request.

function random(tracker, request, mask, integer) {
  const actions = [];
  for (let action = 0; action < 26; action++) if ((mask >> action) & 1) actions.push(action);
  return actions[integer(actions.length)];
}

const PLAYERS = { random };

function choose(name, tracker, request, mask, integer) {
  return PLAYERS[name](tracker, request, mask, integer);
}

module.exports = { choose, names: Object.keys(PLAYERS) };
