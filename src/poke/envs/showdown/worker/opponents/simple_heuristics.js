'use strict';
// poke-env's SimpleHeuristicsPlayer (0.16), on what the tracker knows. It decides the same where poke-env's Battle
// sees right. Where it is odd it stays so: its set-up branch compares a Target with a string and never fires, so it is
// left out; an estimated stat counts one stage up double; the opponent is taken to have six Pokemon; it never mega
// evolves and uses no Z-move. One thing it sees and poke-env's Battle never does: its own tera type. So it terastallizes
// by poke-env's rule, which in poke-env never fires on a random team.

const { multiplier, matchup, health, moveAt, worth } = require('./rules');

const HAZARDS = new Set(['spikes', 'stealthrock', 'stickyweb', 'toxicspikes']);
const REMOVERS = new Set(['rapidspin', 'defog']);
const FIRST_MOVE = 6;
const NUM_MOVES = 4;
const DYNAMAX = 18;
const TERA = 22;

function simpleHeuristics(tracker, request, mask, integer) {
  const { active } = tracker.own;
  const foe = tracker.opponent.active;
  const switches = actions(mask, 0, FIRST_MOVE);
  const moves = actions(mask, FIRST_MOVE, FIRST_MOVE + NUM_MOVES);
  if (active && foe) {
    const standing = switches.map(action => matchup(tracker, tracker.own.team[action], foe));
    if (moves.length > 0 && !shouldLeave(tracker, request, active, foe, standing)) {
      return chooseMove(tracker, request, mask, moves);
    }
    if (switches.length > 0) return switches[first(standing)];
  }
  const all = actions(mask, 0, 26);
  return all[integer(all.length)];
}

function actions(mask, from, to) {
  const found = [];
  for (let action = from; action < to; action++) if ((mask >> action) & 1) found.push(action);
  return found;
}

/** The place of the largest, the first of equals. */
function first(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Whether a good switch is there and a reason to make it. */
function shouldLeave(tracker, request, active, foe, standing) {
  if (!standing.some(value => value > 0)) return false;
  const { atk, spa } = request.side.pokemon.find(entry => entry.active).stats;
  const [attack, defence, specialAttack, specialDefence] = active.boosts;
  return (
    defence <= -3 || specialDefence <= -3 || (attack <= -3 && atk >= spa) || (specialAttack <= -3 && atk <= spa) ||
    matchup(tracker, active, foe) < -2
  );
}

function chooseMove(tracker, request, mask, moves) {
  const { own, opponent } = tracker;
  const known = moves.map(action => moveAt(tracker, request, action));
  const numLeft = own.team.filter(pokemon => !pokemon.fainted).length;
  const numFoes = 6 - opponent.team.filter(pokemon => pokemon.fainted).length;
  for (let i = 0; i < moves.length; i++) {
    const { id } = known[i];
    if (numFoes >= 3 && HAZARDS.has(id) && !opponent.conditions.has(id)) return moves[i];
    if (own.conditions.size > 0 && REMOVERS.has(id) && numLeft >= 2) return moves[i];
  }
  const chosen = first(known.map(move => worth(tracker, move, own.active, opponent.active)));
  return withGimmick(tracker, mask, moves[chosen], known[chosen], numLeft);
}

function withGimmick(tracker, mask, action, move, numLeft) {
  const dynamax = action - FIRST_MOVE + DYNAMAX;
  if ((mask >> dynamax) & 1 && shouldDynamax(tracker, numLeft)) return dynamax;
  const tera = action - FIRST_MOVE + TERA;
  return (mask >> tera) & 1 && shouldTerastallize(tracker, move) ? tera : action;
}

function shouldDynamax(tracker, numLeft) {
  const { active, team } = tracker.own;
  const foe = tracker.opponent.active;
  if (health(active) === 1) {
    if (team.filter(pokemon => health(pokemon) === 1).length === 1) return true;
    if (matchup(tracker, active, foe) > 0 && health(foe) === 1) return true;
  }
  return numLeft === 1;
}

/** Whether the move's effect on the foe outweighs what becomes of the foe's types on the new type. */
function shouldTerastallize(tracker, move) {
  const { active } = tracker.own;
  const foe = tracker.opponent.active;
  if (!active.teraType) return false;
  const teraTypes = tracker.tables.types([active.teraType]);
  const resistance = types => Math.min(...foe.types.names.map(type => 1 / (multiplier(tracker, type, types) || 1 / 8)));
  const offence = multiplier(tracker, move.type, foe.types);
  return offence * (resistance(teraTypes) / resistance(active.types)) > 1;
}

module.exports = { simpleHeuristics, actions, first };
