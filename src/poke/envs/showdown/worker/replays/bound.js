'use strict';
// What a Pokemon of the first generation may choose among its moves, as far as the lines tell.

/** Names of what no slot holds, and of the one move that it is bound to: what a request lists in place of all moves. */
const alone = id => [{ id }];

/**
 * What the request says of the moves of who stands in battle.
 *
 * @param tracker of its player
 * @returns {{moves: object[], trapped: boolean, isSure: boolean, isAlone: boolean}} isSure: it cannot be otherwise; isAlone:
 *   it is one that cannot be chosen against
 */
function asked(tracker) {
  const answer = tracker.gen === 1 ? askedFirst(tracker) : askedLater(tracker);
  return { ...answer, isAlone: answer.moves.length === 1 && answer.moves[0].pp === undefined };
}

function askedFirst(tracker) {
  const pokemon = tracker.own.active;
  const { volatiles } = pokemon;
  const rival = tracker.opponent.active;
  const locked = pokemon.preparing || lockOf(volatiles.get('lockedmove')) || (pokemon.lastMove === 'rage' ? 'rage' : '');
  if (pokemon.mustRecharge) return { moves: alone('recharge'), trapped: true, isSure: true };
  if (locked) return { moves: alone(locked), trapped: true, isSure: true };
  if (pokemon.status === 'slp' || pokemon.status === 'frz') return { moves: alone('fight'), trapped: false, isSure: true };
  if (pokemon.has('bide')) return { moves: alone('bide'), trapped: false, isSure: true };
  // Who binds goes on by himself once; from then on nobody is told whether it goes on.
  const binding = volatiles.get('binding');
  if (binding === 1) return { moves: alone(pokemon.calledMove || pokemon.lastMove), trapped: false, isSure: true };
  if (pokemon.has('partiallytrapped') && rival && rival.volatiles.get('binding') === 1) {
    return { moves: alone('fight'), trapped: false, isSure: true };
  }
  return { moves: listed(pokemon), trapped: false, isSure: true };
}

const lockOf = lock => (lock ? lock.id : '');

/** All of its moves, without those that are disabled or used up. */
function listed(pokemon) {
  const disabled = pokemon.volatiles.get('disable');
  if (!pokemon.moves.length) return [{ id: '', pp: 1, maxpp: 1 }]; // it has some, unknown which
  return pokemon.moves.map(({ move, pp, maxpp }) => ({ id: move.id, pp, maxpp, disabled: pp <= 0 || move.id === disabled }));
}

function askedLater(tracker) {
  return { moves: listed(tracker.own.active), trapped: false, isSure: false };
}

module.exports = { asked };
