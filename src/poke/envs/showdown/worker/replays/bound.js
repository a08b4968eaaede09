'use strict';
// What who stands in battle may choose, as far as lines tell and as far as it is sure.

const { toID } = require('../tracker/tables');

const TRAPPING = new Set(['shadowtag', 'arenatrap', 'magnetpull']);
// Effects that forbid moves or leaving; which exactly, and for how long, lines do not always tell.
const FORBIDDING = [
  'encore', 'disable', 'taunt', 'torment', 'healblock', 'throatchop', 'embargo', 'imprison', 'dynamax', 'gastroacid',
];
const LOCKING = ['lockedmove', 'rollout', 'uproar', 'bide'];
const HOLDING = ['trapped', 'partiallytrapped', 'ingrain', 'octolock', 'noretreat', 'fairylock', 'skydrop', 'jawlock'];
const CHOOSY = new Set(['belch', 'stuffcheeks', 'bloodmoon', 'gigatonhammer', 'naturalgift']);

/**
 * What a request says.
 *
 * `moves`: as a request lists them. `isAlone`: it is one that stands in place of all others. `isSure`: which moves may
 * be chosen is so, of those that are known. `isTrapped`, `trapIsSure`: likewise of leaving. `isFilled`: only later
 * lines tell. `mayStruggle`: perhaps none may be chosen, and one stands in place of all.
 */
class Bound {
  constructor(moves, told = {}) {
    const { isTrapped = false, isSure = true, trapIsSure = true, isFilled = false, mayStruggle = false } = told;
    this.moves = moves;
    this.isAlone = moves.length === 1 && moves[0].pp === undefined;
    this.isTrapped = isTrapped;
    this.isSure = isSure;
    this.trapIsSure = trapIsSure;
    this.isFilled = isFilled;
    this.mayStruggle = mayStruggle;
  }
}

/** What a request lists in place of all moves: one that no slot need have, and that nobody can choose against. */
const alone = id => [{ id }];

/**
 * @param {import('./view').View} view
 * @param decision with what shows of the choice
 * @returns {Bound}
 */
function bound(view, decision) {
  const { tracker } = view;
  const shown = decision.move < 0 ? [] : view.lines[decision.move].parts;
  const isMove = shown[1] === 'move';
  // Who uses it has nothing else left, of moves that may never have been seen.
  if (isMove && shown[3] === 'Struggle') {
    return new Bound(alone('struggle'), { isFilled: true, trapIsSure: !mayBeHeld(view) });
  }
  return tracker.gen === 1 ? boundFirst(tracker) : boundLater(view, decision, shown);
}

/** Generation 1: what binds is told, but for whether a binding move goes on after its second hit. */
function boundFirst(tracker) {
  const pokemon = tracker.own.active;
  const { volatiles } = pokemon;
  const rival = tracker.opponent.active;
  const rage = pokemon.lastMove === 'rage' ? 'rage' : '';
  const locked = pokemon.preparing || lockOf(pokemon, 'lockedmove') || rage;
  if (pokemon.mustRecharge) return new Bound(alone('recharge'), { isTrapped: true });
  if (locked) return new Bound(alone(locked), { isTrapped: true });
  if (pokemon.status === 'slp' || pokemon.status === 'frz') return new Bound(alone('fight'));
  if (pokemon.has('bide')) return new Bound(alone('bide'));
  if (volatiles.get('binding') === 1) return new Bound(alone(pokemon.calledMove || pokemon.lastMove));
  const isHeldFast = pokemon.has('partiallytrapped') && rival && rival.volatiles.get('binding') === 1;
  if (isHeldFast) return new Bound(alone('fight'));
  const isUsedUp = pokemon.moves.length > 0 && pokemon.moves.every(({ pp }) => pp <= 0);
  if (isUsedUp && pokemon.moves.length === 4) return new Bound(alone('struggle'));
  return new Bound(listed(pokemon, new Set([volatiles.get('disable')])), { isSure: !isUsedUp });
}

function lockOf(pokemon, volatile) {
  const lock = pokemon.volatiles.get(volatile);
  return lock ? lock.id || volatile : '';
}

function boundLater(view, decision, shown) {
  const pokemon = view.tracker.own.active;
  if (pokemon.mustRecharge) return new Bound(alone('recharge'), { isTrapped: true });
  if (pokemon.preparing) return new Bound(alone(pokemon.preparing), { isTrapped: true });
  const locked = LOCKING.map(id => lockOf(pokemon, id)).find(id => id) || '';
  // How long it goes on is drawn: what happens next tells whether it did.
  // Gen 2 does not say so of a move that goes on.
  const isSame = view.tracker.gen === 2 && shown[1] === 'move' && toID(shown[3]) === locked;
  const goesOn = isSame || shown.some(part => /^\[from\] ?lockedmove/.test(part));
  const isFree = decision.arrival >= 0 || (shown[1] === 'move' && !goesOn);
  if (goesOn && locked) return new Bound(alone(locked), { isTrapped: true, isFilled: true });
  if (locked && !isFree) return new Bound(alone(locked), { isTrapped: true, isSure: false, trapIsSure: false });
  return free(view, locked !== '');
}

/** It may choose among its moves, whatever is said against some of them. */
function free(view, isFilled) {
  const { tracker } = view;
  const pokemon = tracker.own.active;
  const foe = tracker.opponent.active;
  const forbidden = forbiddenMoves(tracker, pokemon, view.itemOf(pokemon, view.read));
  const isForbidden =
    FORBIDDING.some(id => pokemon.has(id)) || (foe && foe.has('imprison')) || tracker.field.has('gravity');
  const isChoosy = pokemon.moves.some(({ move }) => CHOOSY.has(move.id));
  const isSure = !isForbidden && !isChoosy && !view.mayBeChoiceLocked();
  const held = mayBeHeld(view);
  const isUsedUp = pokemon.moves.length > 0 && pokemon.moves.every(({ pp }) => pp <= 0);
  const isOut = slot => mayBeOut(view, pokemon, slot, forbidden);
  const mayStruggle =
    isUsedUp || pokemon.moves.every(isOut) || (view.mayBeChoiceLocked() && isLockedOut(pokemon, isOut));
  // Of fewer than four it may have another one.
  if (isUsedUp && pokemon.moves.length === 4) {
    return new Bound(alone('struggle'), { isTrapped: isHeld(view), isSure, trapIsSure: !held });
  }
  return new Bound(listed(pokemon, mayStruggle ? new Set() : forbidden), {
    isTrapped: isHeld(view),
    isSure: isSure && !isUsedUp && !pokemon.transformed,
    mayStruggle,
    trapIsSure: !held,
    isFilled,
  });
}

/** Whether a move may be used up or forbidden. */
function mayBeOut(view, pokemon, { move, pp, maxpp }, forbidden) {
  const foe = view.tracker.opponent.active;
  if (pp <= 0 || forbidden.has(move.id) || CHOOSY.has(move.id) || (foe && foe.has('imprison'))) return true;
  // Of what it takes, Pressure takes half.
  return view.isVague(pokemon, move.id) && (view.vague.get(pokemon) === null || 2 * pp <= maxpp);
}

/**
 * Whether the one move that an unknown choice item or ability would leave may not be chosen. Which it is the last
 * move tells, but for Struggle and for Z- and max moves, behind which it stays.
 */
function isLockedOut(pokemon, isOut) {
  const last = pokemon.moves.find(({ move }) => move.id === pokemon.lastMove);
  return !last || isOut(last);
}

/** Whether something, perhaps a hidden ability of the other one, may keep it from leaving. */
function mayBeHeld({ tracker, wasTrapped }) {
  if (tracker.gen === 1) return false;
  if (wasTrapped) return true;
  const pokemon = tracker.own.active;
  const foe = tracker.opponent.active;
  if (HOLDING.some(id => pokemon.has(id)) || tracker.field.has('fairylock')) return true;
  if (tracker.gen < 3 || !foe) return false;
  const possible = Object.values(foe.species.entry.abilities || {}).map(toID);
  return [foe.ability, ...possible].some(id => TRAPPING.has(id));
}

function isHeld({ tracker }) {
  const pokemon = tracker.own.active;
  const isFree = tracker.gen >= 6 && pokemon.types.names.includes('Ghost');
  return tracker.gen > 1 && !isFree && HOLDING.some(id => pokemon.has(id));
}

/** Moves that are known to be forbidden now: the likeliest, where it is not sure. */
function forbiddenMoves(tracker, pokemon, item) {
  const { volatiles } = pokemon;
  const ids = new Set();
  const each = test => pokemon.moves.forEach(({ move }) => test(move) && ids.add(move.id));
  if (volatiles.has('disable')) ids.add(volatiles.get('disable'));
  if (volatiles.has('encore')) each(move => move.id !== pokemon.lastMove);
  if (volatiles.has('taunt')) each(move => move.entry.category === 'Status');
  if (volatiles.has('torment')) ids.add(pokemon.lastMove);
  if (volatiles.has('healblock')) each(move => move.entry.flags.heal);
  if (volatiles.has('throatchop')) each(move => move.entry.flags.sound);
  if (item && item.value === 'assaultvest') each(move => move.entry.category === 'Status');
  if (tracker.field.has('gravity')) each(move => move.entry.flags.gravity);
  each(move => move.entry.flags.cantusetwice && move.id === pokemon.lastMove);
  if (pokemon.lastMove && item && item.value.startsWith('choice')) each(move => move.id !== pokemon.lastMove);
  return ids;
}

/** All of its moves; without those that it may not choose, and those that are used up. */
function listed(pokemon, forbidden) {
  if (!pokemon.moves.length) return [{ id: '', pp: 1, maxpp: 1 }]; // it has some, unknown which
  return pokemon.moves.map(({ move, pp, maxpp }) => {
    return { id: move.id, pp, maxpp, disabled: pp <= 0 || forbidden.has(move.id) };
  });
}

module.exports = { bound };
