'use strict';
// |move| and |cant|: what a Pokemon has, how much of it is left, and what binds it.

const { toID, effectID } = require('./tables');
const held = require('./held');
const locks = require('./locks');

// Moves that reach no opponent cost no more under Pressure.
const REACHES_NO_FOE = new Set([
  'self',
  'allySide',
  'allyTeam',
  'allies',
  'adjacentAlly',
  'adjacentAllyOrSelf',
  'foeSide',
]);

// Abilities that change the type of moves.
const RETYPING = new Set([
  'aerilate',
  'galvanize',
  'liquidvoice',
  'normalize',
  'pixilate',
  'refrigerate',
]);

function fromOf(parts) {
  for (let i = parts.length - 1; i > 4; i--) {
    if (parts[i].startsWith('[from] ')) return parts[i].slice(7);
    if (parts[i].startsWith('[from]')) return parts[i].slice(6);
  }
  return '';
}

function useMove(tracker, parts) {
  const pokemon = tracker.at(parts[2]);
  if (!pokemon) return;
  const from = fromOf(parts);
  if (from.startsWith('ability: ')) held.showAbility(pokemon, effectID(from));
  const isStatusZ = parts[3].startsWith('Z-');
  const id = toID(isStatusZ ? parts[3].slice(2) : parts[3]);
  const isByItem = from.startsWith('item: '); // Quick Claw only makes it faster
  const fromID = from && !isByItem ? effectID(from) : '';
  // Gen 4: a Pursuit of one who leaves is used beside the turn's order, and no Pressure is asked.
  const isUnpressed = isByItem || (tracker.gen === 4 && fromID === 'pursuit');
  const isContinued =
    fromID === 'lockedmove' ||
    (tracker.gen === 1 && fromID === id) ||
    (tracker.gen === 2 && fromID === '' && locks.isBoundTo(pokemon, id)); // gen 2 does not say so
  const goesOnCalled = isContinued && pokemon.calledMove === id;
  const isCalled = (fromID !== '' && !isContinued && fromID !== id) || goesOnCalled;
  const { isDesync } = tracker;
  tracker.isDesync = false;
  tracker.confused = null; // by what a crash behind a Substitute is told from a confusion
  const wasPreparing = pokemon.preparing;
  pokemon.preparing = '';
  pokemon.mustRecharge = false;
  const move = tracker.tables.move(id);
  if (isDesync) {
    if (!move.entry.flags.charge) payForDesync(tracker, pokemon);
    pokemon.calledMove = id;
  } else if (isCalled) {
    if (tracker.gen === 1) payForCalled(tracker, pokemon, move, goesOnCalled);
    const caller = tracker.gen > 3 && from.startsWith('move: ') ? pokemon.findMove(fromID) : null;
    if (caller)
      spend(tracker, pokemon, caller, held.pressure(tracker, pokemon, move, REACHES_NO_FOE));
    pokemon.calledMove = id;
  } else {
    pokemon.lastMove = id;
    pokemon.calledMove = '';
    // Who chooses is bound no more: the rampage of one who was confused already ends without a word.
    if (tracker.gen > 1 && !isContinued) pokemon.volatiles.delete('lockedmove');
    const slot = ownSlot(tracker, pokemon, move);
    if (slot && deductsNow(tracker, move, isContinued, wasPreparing)) {
      const cost = 1 + (isUnpressed ? 0 : held.pressure(tracker, pokemon, move, REACHES_NO_FOE));
      spend(tracker, pokemon, slot, cost);
    }
  }
  if (id === 'naturalgift' && !parts.includes('[still]') && !parts.includes('[notarget]'))
    held.loseItem(tracker, pokemon, pokemon.item, ''); // no line says so
  tracker.mover = pokemon;
  tracker.moves++;
  pokemon.actAsleep();
  if (fromID !== 'dancer') locks.moved(tracker, pokemon, move, isContinued); // which binds to nothing
  if (parts.includes('[miss]') || parts.includes('[notarget]')) locks.missed(tracker);
}

function spend(tracker, pokemon, slot, cost) {
  slot.pp = tracker.gen === 1 ? inSixBits(tracker, slot.pp - cost) : Math.max(0, slot.pp - cost);
  pokemon.shareMimicsPP();
}

/** Gen 1 keeps six bits of PP: one less than none is 63. Custom games truncate nothing: there it is less than none. */
const inSixBits = (tracker, pp) => (tracker.isCustomGame ? pp : pp & 63);

/**
 * Gen 1: who wakes or thaws uses the move that its player chose last, be it for another Pokemon or called by one of its
 * own. The slot that was chosen last pays, since it came in the first, which only its player can tell.
 */
function payForDesync(tracker, pokemon) {
  const first = pokemon.key === '' ? null : pokemon.moves[0];
  const slot = pokemon.lastMove === '' ? first : pokemon.findMove(pokemon.lastMove);
  if (slot) spend(tracker, pokemon, slot, 1);
}

/**
 * Gen 1: Metronome and Mirror Move get a PP back when they call a two-turn move and pay it at its second turn;
 * after Transform the slot beneath gains one at every call, which is a glitch of the games. Which that is only its
 * player can tell: lines do not show the order of moves.
 */
function payForCalled(tracker, pokemon, move, goesOn) {
  const caller = pokemon.findMove(pokemon.lastMove);
  const isTwoTurn = move.entry.flags.charge;
  if (caller && isTwoTurn) caller.pp = inSixBits(tracker, caller.pp + (goesOn ? -1 : 1));
  const hasOrder = pokemon.key !== '' && pokemon.transformed;
  const beneath = hasOrder && !goesOn ? pokemon.baseMoves[pokemon.moves.indexOf(caller)] : null;
  if (beneath) beneath.pp = (beneath.pp + 1) % 64;
}

/** The slot a move is from, revealed by its use; of a Z- or max move the base where it is certain. */
function ownSlot(tracker, pokemon, move) {
  const { entry } = move;
  if (entry.isZ || entry.isMax) return baseSlot(tracker, pokemon, entry);
  if (move.id === 'struggle' || move.id === 'recharge') return null;
  return pokemon.revealMove(move.id);
}

function baseSlot(tracker, pokemon, entry) {
  const isOwn = pokemon.key !== '';
  if (!isOwn && pokemon.moves.length < 4) return null;
  const fits = pokemon.moves.filter(({ move }) => mayBeBehind(pokemon, move, entry));
  return fits.length === 1 ? fits[0] : null;
}

/** Whether a Z- or max move can have been made of a move. A max move's type is that which the move has then. */
function mayBeBehind(pokemon, move, { id, type, isMax }) {
  const isStatus = move.entry.category === 'Status';
  if (isStatus || id === 'maxguard') return isStatus && id === 'maxguard';
  if (move.type === type) return true;
  if (!isMax) return false;
  if (move.entry.onModifyType || move.id.startsWith('hiddenpower')) return true;
  if (pokemon.ability === '') return move.type === 'Normal' || type === 'Normal';
  return RETYPING.has(pokemon.ability);
}

/** Gen 1 deducts a two-turn move's PP on its second turn, all others on the first. */
function deductsNow(tracker, move, isContinued, wasPreparing) {
  if (tracker.gen === 1 && move.entry.flags.charge) return wasPreparing === move.id;
  return !isContinued;
}

/** Of two names the first is whose ability forbids it (Damp, Dazzling), the second who cannot move. */
function cannotMove(tracker, parts) {
  const id = effectID(parts[3]);
  const of = parts.find(part => part.startsWith('[of] '));
  const named = tracker.at(parts[2]);
  if (named && parts[3].startsWith('ability: ')) held.showAbility(named, id);
  const pokemon = of ? tracker.at(of.slice(5)) : named;
  if (!pokemon) return;
  tracker.confused = null;
  if (id === 'slp') {
    pokemon.statusCounter += pokemon.ability === 'earlybird' ? 2 : 1;
    pokemon.sleptThrough = pokemon.skippedSleep; // gen 3, if Sleep Talk or Snore follows
    pokemon.skippedSleep = 0;
  } else if (id !== 'recharge') {
    pokemon.actAsleep(); // or would have
  }
  if (id === 'recharge') pokemon.mustRecharge = false;
  locks.aborted(tracker, pokemon, id);
}

module.exports = { useMove, cannotMove };
