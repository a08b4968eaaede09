'use strict';
// Players that decide in the worker, by what they see: a tracker and a request.

const { simpleHeuristics, actions, first } = require('./simple_heuristics');
const { moveAt, power } = require('./rules');

function random(tracker, request, mask, integer) {
  const all = actions(mask, 0, 26);
  return all[integer(all.length)];
}

/** poke-env's MaxBasePowerPlayer: the first of the strongest moves, without gimmicks; else anything. */
function maxBasePower(tracker, request, mask, integer) {
  const moves = actions(mask, 6, 10);
  if (moves.length === 0) return random(tracker, request, mask, integer);
  return moves[first(moves.map(action => power(moveAt(tracker, request, action), tracker.own.active)))];
}

const PLAYERS = { random, max_base_power: maxBasePower, simple_heuristics: simpleHeuristics };

/**
 * Return the action that a scripted player takes.
 * @param name one of `names`
 * @param tracker what it knows
 * @param request what it is asked
 * @param mask what is legal, at least one action
 * @param integer (n) => a seeded integer from 0 to n - 1
 */
function choose(name, tracker, request, mask, integer) {
  return PLAYERS[name](tracker, request, mask, integer);
}

/** Those that look at nothing but the mask: their tracker need not know anything. */
const blind = new Set(['random']);

module.exports = { choose, names: Object.keys(PLAYERS), blind };
