'use strict';
// Active moves: each use of a move works on a deep copy of its data, some sixty properties, and the end of a turn
// copies every move of both active Pokemon only to look at them.

/** A function that copies a move as `Utils.deepClone` does and adds `hit: 0`, or null where that is not plain. */
function copierOf(move, deepClone) {
  const keys = Object.keys(move);
  if (!Object.isFrozen(move) || keys.includes('hit') || keys.includes('__proto__')) return null;
  // A literal with all properties in the original's order gives all copies of a move one hidden class.
  const properties = keys.map(key => {
    const name = JSON.stringify(key);
    const value = move[key];
    return `${name}: ${value !== null && typeof value === 'object' ? `clone(move[${name}])` : `move[${name}]`}`;
  });
  const make = new Function(
    'proto', 'clone', `return move => ({ __proto__: proto, ${properties.join(', ')}, hit: 0 });`
  );
  return make(Object.getPrototypeOf(move), deepClone);
}

// The battle whose turn ends, while it does.
let ending = null;

/**
 * ModdedDex.getActiveMove copies by a function made once for each move of the frozen tables: which properties a move
 * has, and which of them are objects, cannot change.
 * While a turn ends, and outside of any event's handler, only Battle.endTurn itself asks for a move by its name, reads
 * its onDisableMove and flags and drops it: there one copy serves for all, frozen, so that a write would throw
 * and not pass unseen. A move with an onDisableMove is copied: its handler might do anything with the copy.
 */
function makeGetActiveMove(original) {
  const copiers = new WeakMap();
  const shared = new WeakMap();
  return function getActiveMove(move) {
    if (move && typeof move.hit === 'number') return move;
    const isNamed = typeof move === 'string';
    const data = this.moves.get(move);
    if (ending !== null && isNamed && ending.eventDepth === 0 && data.onDisableMove === undefined) {
      let copy = shared.get(data);
      if (copy === undefined) shared.set(data, (copy = this.deepFreeze(original.call(this, data))));
      return copy;
    }
    let copier = copiers.get(data);
    if (copier === undefined) copiers.set(data, (copier = copierOf(data, this.deepClone)));
    return copier === null ? original.call(this, data) : copier(data);
  };
}

/** Battle.endTurn is the original; it only lets `getActiveMove` know. */
function makeEndTurn(original, simulator, isPlain) {
  return function endTurn() {
    const before = ending;
    ending = isPlain(this) ? this : null;
    try {
      return original.call(this);
    } finally {
      ending = before;
    }
  };
}

module.exports = [
  {
    name: 'ModdedDex.getActiveMove',
    reads: ['DexMoves.get', 'DexMoves.getByID', 'Battle.endTurn'],
    make: makeGetActiveMove,
  },
  {
    name: 'Battle.endTurn',
    reads: [
      'ModdedDex.getActiveMove', 'Battle.singleEvent', 'Battle.maybeTriggerEndlessBattleClause', 'Battle.makeRequest',
      'Battle.getRequests', 'Pokemon.getMoveRequestData', 'Pokemon.getMoves', 'Pokemon.getLockedMove',
      'Pokemon.getSemiLockedMove', 'Pokemon.getDynamaxRequest', 'Pokemon.removeVolatile', 'Pokemon.disableMove',
      'BattleActions.canZMove', 'BattleActions.getZMove', 'BattleActions.getMaxMove', 'Side.getRequestData',
      'Pokemon.getSwitchRequestData',
    ],
    make: makeEndTurn,
  },
];
