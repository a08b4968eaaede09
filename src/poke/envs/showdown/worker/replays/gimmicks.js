'use strict';
// Mega evolution, Z-moves, dynamax and terastallizing: who may, and which move stands behind what is shown.

const { toID } = require('../tracker/tables');

const FIRST = { mega: 10, zmove: 14, dynamax: 18, terastallize: 22 }; // the actions
// Of these, and by these abilities, a max move's type is not that of the move.
const RETYPED = new Set([
  'hiddenpower', 'weatherball', 'terrainpulse', 'naturalgift', 'judgment', 'multiattack', 'revelationdance',
  'technoblast', 'aurawheel',
]);
const RETYPING = new Set([
  'aerilate', 'galvanize', 'liquidvoice', 'normalize', 'pixilate', 'refrigerate', 'protean', 'libero',
]);
const BY_A_MOVE = ['Rayquaza']; // mega evolves without a stone

/** What a log's lines so far say of one side's gimmicks. */
class Gimmicks {
  constructor(dex, log, id) {
    this.gen = dex.gen;
    this.dex = dex;
    this.id = id;
    this.used = new Set();
    const rules = log.lines.filter(({ kind }) => kind === 'rule').map(({ parts }) => parts[2] || '');
    this.isPlain = !toID(log.tier).includes('nationaldex'); // which has all gimmicks at once
    this.isBarred = name => rules.some(rule => rule.startsWith(name));
  }

  read({ kind, parts }) {
    if (!(parts[2] || '').startsWith(this.id)) return;
    if (kind === '-mega' || kind === '-burst') this.used.add('mega');
    if (kind === '-zpower') this.used.add('zmove');
    if (kind === '-terastallize') this.used.add('terastallize');
    if (kind === '-start' && parts[3] === 'Dynamax') this.used.add('dynamax');
  }

  /** What the request says of them, and of which it is sure: {flags, sure: {mega, zmove, dynamax, terastallize}}. */
  asked(pokemon, item, moves) {
    const { gen, used, isPlain } = this;
    const flags = {};
    const held = item ? item.value : null;
    const sure = { mega: gen < 6, zmove: gen < 7, dynamax: gen !== 8, terastallize: gen !== 9 };
    if (gen === 9 && isPlain) {
      sure.mega = sure.zmove = sure.terastallize = true;
      if (!used.has('terastallize') && !this.isBarred('Terastal Clause')) flags.canTerastallize = '?';
    }
    if (gen === 8 && isPlain) sure.mega = sure.zmove = true;
    if (gen === 8 && !used.has('dynamax') && !this.isBarred('Dynamax Clause') && !pokemon.species.entry.cannotDynamax) {
      flags.canDynamax = true;
      flags.maxMoves = { maxMoves: moves.map(({ id }) => ({ move: id })) };
    }
    if (gen === 8) sure.dynamax = used.has('dynamax') || this.isBarred('Dynamax Clause');
    if (gen === 6 || gen === 7) {
      const stone = held && this.dex.items.getByID(held);
      const mayChange = stone && (stone.megaStone || held === 'ultranecroziumz');
      sure.mega = used.has('mega') || (stone !== null && !mayChange && !BY_A_MOVE.includes(pokemon.base.baseSpecies));
      if (gen === 7) sure.zmove = used.has('zmove') || (stone !== null && !stone.zMove);
    }
    return { flags, sure };
  }
}

/** Which of a Pokemon's moves stands behind a Z- or max move: its place, -1 where it is not certain. */
function placeBehind(pokemon, id, entry, ability) {
  const { moves } = pokemon;
  if (moves.length < 4) return -1;
  const isStatus = entry.id === 'maxguard';
  if (entry.isMax && !isStatus) {
    const isPlain = moves.every(({ move }) => !RETYPED.has(move.id));
    if (!isPlain || !ability || RETYPING.has(ability)) return -1;
  }
  const fits = ({ entry: base, type }) => (base.category === 'Status' ? isStatus : !isStatus && type === entry.type);
  const places = moves.map(({ move }, j) => (fits(move) ? j : -1)).filter(j => j >= 0);
  return places.length === 1 ? places[0] : -1;
}

module.exports = { Gimmicks, placeBehind, FIRST };
