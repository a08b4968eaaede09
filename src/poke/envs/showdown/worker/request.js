'use strict';
// What a request allows, from the request alone, and how a choice is written: by slot number, never by name.
// Actions: 0-5 switch to that slot, 6-9 move, 10-13 move and mega evolve or ultra burst, 14-17 Z-move,
// 18-21 dynamax, 22-25 terastallize.

const MEGA = 10;
const Z_MOVE = 14;
const DYNAMAX = 18;
const TERA = 22;
const NUM_MOVES = 4;

const hasFainted = entry => entry.condition.endsWith(' fnt');

/**
 * The slot of the one move the active Pokemon is bound to, -1 if it may choose. Its own slot where it has
 * the move, else the first: `recharge`, `fight`, `struggle`, a move that another move called.
 */
function boundSlot(request) {
  const { moves } = request.active[0];
  if (moves.length !== 1) return -1;
  const own = request.side.pokemon.find(entry => entry.active).moves;
  const { id } = moves[0];
  const slot = own.findIndex(name => isMove(name, id));
  if (slot < 0) return 0;
  return own.length === 1 && moves[0].pp !== undefined ? -1 : slot;
}

/** Whether a name of the side's list is that move: there hiddenpower is hiddenpowerice60. */
function isMove(name, id) {
  if (name === id) return true;
  return (id === 'hiddenpower' || id === 'return' || id === 'frustration') && name.startsWith(id);
}

/** The legal actions as bits. A request that asks nothing, or for an order of the team, allows none. */
function legal(request) {
  if (!request || request.wait || request.teamPreview) return 0;
  const { pokemon } = request.side;
  if (request.forceSwitch) {
    const isReviving = pokemon.some(entry => entry.reviving);
    return switches(pokemon, isReviving);
  }
  const active = request.active[0];
  let mask = active.trapped ? 0 : switches(pokemon, false);
  const bound = boundSlot(request);
  if (bound >= 0) return mask | (1 << (6 + bound));
  for (let j = 0; j < active.moves.length && j < NUM_MOVES; j++) mask |= legalMove(active, j);
  return mask;
}

function switches(pokemon, isReviving) {
  let mask = 0;
  for (let i = 0; i < pokemon.length && i < 6; i++) {
    if (hasFainted(pokemon[i]) === isReviving && (isReviving || !pokemon[i].active)) mask |= 1 << i;
  }
  return mask;
}

function legalMove(active, j) {
  let mask = 0;
  // Of one that is large its max moves are chosen, which its moves' own bans do not concern.
  const isLarge = !!active.maxMoves && !active.canDynamax;
  if (isLarge ? canMax(active, j) : !active.moves[j].disabled) {
    mask |= 1 << (6 + j);
    if (active.canMegaEvo || active.canMegaEvoX || active.canMegaEvoY || active.canUltraBurst) {
      mask |= 1 << (MEGA + j);
    }
    if (active.canTerastallize) mask |= 1 << (TERA + j);
  }
  // A Z- or max move may be used where its base is disabled, by a choice item say; what is true of it is said apart.
  if (active.canZMove && active.canZMove[j]) mask |= 1 << (Z_MOVE + j);
  if (active.canDynamax && canMax(active, j)) mask |= 1 << (DYNAMAX + j);
  return mask;
}

function canMax(active, j) {
  const move = active.maxMoves && active.maxMoves.maxMoves[j];
  return !!move && !move.disabled;
}

const withoutMax = ({ maxMoves }, j) => ({
  ...maxMoves,
  maxMoves: maxMoves.maxMoves.map((move, i) => (i === j ? { ...move, disabled: true } : move)),
});

/** How an action is written to the simulator. */
function choice(request, action) {
  if (action < 6) return `switch ${action + 1}`;
  const active = request.active[0];
  const j = (action - 6) % NUM_MOVES;
  const move = `move ${boundSlot(request) >= 0 ? 1 : j + 1}`;
  if (action < MEGA) return move;
  if (action < Z_MOVE) return `${move} ${megaEvent(active)}`;
  if (action < DYNAMAX) return `${move} zmove`;
  return action < TERA ? `${move} dynamax` : `${move} terastallize`;
}

function megaEvent(active) {
  if (active.canMegaEvo) return 'mega';
  if (active.canUltraBurst) return 'ultra';
  return active.canMegaEvoX ? 'megax' : 'megay';
}

/** The id of the move that an action uses, '' for a switch. */
function moveOf(request, action) {
  if (action < 6) return '';
  const { moves } = request.active[0];
  return boundSlot(request) >= 0 ? moves[0].id : moves[(action - 6) % NUM_MOVES].id;
}

/**
 * The request as it is known after a choice was refused: a trap that did not show, a move that Imprison or
 * another hidden effect disables. The simulator's updated request, if it sends one, says the same.
 */
function refuse(request, action, error) {
  const active = { ...request.active[0] };
  const known = { ...request, active: [active] };
  const j = (action - 6) % NUM_MOVES;
  if (action < 6) {
    active.trapped = true;
    delete active.maybeTrapped;
  } else if (action < MEGA || /is disabled/.test(error || '')) {
    active.moves = active.moves.map((move, i) => (i === j ? { ...move, disabled: true } : move));
    if (active.canZMove && action >= Z_MOVE)
      active.canZMove = active.canZMove.map((z, i) => (i === j ? null : z));
    if (action >= DYNAMAX && action < TERA) active.canDynamax = active.maxMoves = undefined;
    else if (active.maxMoves && !active.canDynamax) active.maxMoves = withoutMax(active, j);
  } else if (action < Z_MOVE) {
    for (const key of ['canMegaEvo', 'canMegaEvoX', 'canMegaEvoY', 'canUltraBurst'])
      active[key] = undefined;
  } else if (action < DYNAMAX) {
    active.canZMove = active.canZMove.map((z, i) => (i === j ? null : z));
  } else if (action < TERA) {
    active.canDynamax = active.maxMoves = undefined;
  } else {
    active.canTerastallize = undefined;
  }
  return known;
}

module.exports = { legal, choice, refuse, moveOf, boundSlot };
