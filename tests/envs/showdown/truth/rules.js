'use strict';
// What of a move's description follows from the dex alone, and the names that it is told in.

const plainNames = new Map();
/** A name of the layout as the simulator's ids are written. */
function plain(name) {
  if (!plainNames.has(name)) plainNames.set(name, name.toLowerCase().replace(/_/g, ''));
  return plainNames.get(name);
}

/** 1 for each name that is on, 0 for the others. */
function flags(names, isOn) {
  const found = {};
  for (const name of names) found[name] = isOn(plain(name), name) ? 1 : 0;
  return found;
}

// Its owner knows a Hidden Power's type; lines do not tell it.
const shortID = id => (id.startsWith('hiddenpower') ? 'hiddenpower' : id);

const typeName = type => (type === '???' ? 'THREE_QUESTION_MARKS' : type.toUpperCase());

const described = new Map(); // dex -> id -> what follows from it
/**
 * What is true of a move whoever has it.
 * @param parts the parts of the layout's features of a move, by feature
 */
function rulesOf(dex, id, parts) {
  if (!described.has(dex)) described.set(dex, new Map());
  const known = described.get(dex);
  if (!known.has(id)) known.set(id, describe(dex, id, parts));
  return known.get(id);
}

function describe(dex, id, parts) {
  const move = dex.moves.get(id);
  const { exists } = move;
  const category = exists ? move.category.toLowerCase() : 'status';
  return {
    known: 1,
    category: flags(parts.category, name => name === category),
    base_power: exists ? Math.min(127, Math.ceil(move.basePower / 2)) : 0,
    accuracy: Math.min(100, Math.round(100 * accuracyOf(move))),
    priority: exists ? move.priority : 0,
    expected_hits: Math.min(60, Math.round(10 * (exists ? hitsOf(move.multihit, dex.gen) : 1))),
    pseudo: !exists || id === 'struggle' ? 1 : 0,
    self_boosts: selfBoosts(move, parts.self_boosts),
    heal: heal(move),
    status: Object.fromEntries(parts.status.map(name => [name, chance(move, plain(name))])),
    move: shortID(id),
    type: exists ? typeName(move.type) : '',
  };
}

const accuracyOf = move => (!move.exists || move.accuracy === true ? 1 : move.accuracy / 100);

function hitsOf(multihit, gen) {
  if (!multihit) return 1;
  if (!Array.isArray(multihit)) return multihit;
  const [least, most] = multihit;
  if (least !== 2 || most !== 5) return (least + most) / 2;
  return gen < 5 ? (2 * 3 + 3 * 3 + 4 + 5) / 8 : 2 * 0.35 + 3 * 0.35 + 4 * 0.15 + 5 * 0.15;
}

function selfBoosts(move, names) {
  const sure = Object.assign({}, move.target === 'self' && move.boosts, move.self && move.self.boosts, move.selfBoost && move.selfBoost.boosts);
  return Object.fromEntries(names.map(name => [name, (move.exists && sure[name]) || 0]));
}

function heal(move) {
  if (!move.exists || !['self', 'allies'].includes(move.target)) return 0;
  if (move.heal) return Math.round((100 * move.heal[0]) / move.heal[1]);
  const coded = { recover: 50, softboiled: 50, rest: 100, moonlight: 50, morningsun: 50, synthesis: 50, shoreup: 50, wish: 50 };
  return coded[move.id] || 0;
}

function chance(move, status) {
  if (!move.exists) return 0;
  if (move.status === status) return 100;
  const found = (move.secondaries || []).find(one => one.status === status);
  return found ? Math.min(100, found.chance || 100) : 0;
}

module.exports = { plain, flags, shortID, typeName, rulesOf, accuracyOf, hitsOf };
