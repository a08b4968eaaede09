'use strict';
// A battle once more as one of its players saw it: the lines of its channel, and requests made of what the whole log
// reveals of its side. The tracker and the encoder are the ones that read the simulator's own battles.

const { legal, boundSlot } = require('../request');
const { Tracker } = require('../tracker');
const { MoveSlot } = require('../tracker/pokemon');
const { toID } = require('../tracker/tables');
const { asked } = require('./bound');
const { UNKNOWN, KNOWN, FILLED, moveLevel } = require('./marks');

const NO_STATS = Object.freeze({ atk: 0, def: 0, spa: 0, spd: 0, spe: 0 });
const UNKNOWN_MOVE = '';
const STRUGGLE = { moves: [{ id: 'struggle' }], trapped: false, isSure: true, isAlone: true, isFilled: true };

class View {
  /**
   * @param dex of the format
   * @param {import('./log').Log} log
   * @param {import('./sheets').Revealed} revealed of the player who looks
   */
  constructor(dex, log, revealed) {
    this.dex = dex;
    this.lines = log.lines;
    this.seen = log.seenBy(revealed.id);
    this.revealed = revealed;
    this.id = revealed.id;
    this.tracker = new Tracker(dex, this.id);
    this.read = 0; // lines
    this.sheets = new Map(); // own Pokemon -> its Sheet, null: it was never seen
    this.bound = null; // what the last request said of moves
  }

  /** Read on to a line and ask what is to be chosen there. Returns the legal actions as bits. */
  ask(decision) {
    for (; this.read < decision.at; this.read++) this.tracker.read(this.seen.texts[this.read]);
    const request = this.request(decision);
    this.tracker.request(request);
    this.tracker.settle();
    if (!this.sheets.size) this.tracker.own.team.forEach((pokemon, i) => this.sheets.set(pokemon, this.team[i]));
    return legal(request);
  }

  request(decision) {
    const { own } = this.tracker;
    let pokemon;
    if (this.sheets.size) {
      pokemon = own.team.map(one => this.entry(one, this.sheets.get(one), decision.at));
    } else {
      const { team, teamSize } = this.revealed;
      this.team = [...team, ...new Array(Math.max(0, teamSize - team.length)).fill(null)].slice(0, 6);
      pokemon = this.team.map((sheet, i) => this.firstEntry(sheet, i, decision.at));
    }
    const request = { side: { id: this.id, name: '', pokemon } };
    if (decision.isSwitch) return { ...request, forceSwitch: [true] };
    if (!this.sheets.size) {
      // Before its first request the tracker does not know its moves.
      const slots = pokemon[0].moves.map(id => new MoveSlot(this.tracker.tables.move(id)));
      own.active.moves = own.active.baseMoves = slots;
    }
    this.bound = this.isStruggle(decision) ? STRUGGLE : asked(this.tracker);
    const hasBench = pokemon.some(entry => !entry.active && !entry.condition.endsWith(' fnt'));
    const active = { moves: this.bound.moves };
    if (this.bound.trapped && (hasBench || this.bound.moves.length === 1)) active.trapped = true;
    return { ...request, active: [active] };
  }

  /** Who uses it has nothing else left, of moves that may never have been seen. */
  isStruggle({ move }) {
    if (move < 0) return false;
    const parts = this.lines[move].parts;
    return parts[1] === 'move' && parts[3] === 'Struggle';
  }

  movesOf(sheet) {
    return sheet && sheet.moves.length ? sheet.moves.map(move => move.id) : [UNKNOWN_MOVE];
  }

  firstEntry(sheet, i, at) {
    const name = sheet ? sheet.seen.name || sheet.seen.base.name : `?${i}`;
    const own = this.tracker.own.active;
    return {
      ident: `${this.id}: ${name}`,
      details: sheet ? sheet.details : '',
      condition: i === 0 && own ? own.condition : '100/100',
      active: i === 0,
      stats: NO_STATS,
      moves: this.movesOf(sheet),
      pokeball: '',
      ...this.held(sheet, at),
    };
  }

  entry(pokemon, sheet, at) {
    return {
      ident: pokemon.ident,
      details: pokemon.entryDetails === '' ? '' : pokemon.details,
      condition: pokemon.condition,
      active: pokemon === this.tracker.own.active,
      stats: NO_STATS,
      moves: pokemon.moves.map(slot => slot.move.id),
      pokeball: '',
      ...this.held(sheet, at),
    };
  }

  held(sheet, at) {
    const item = sheet && sheet.item.at(at - 1);
    const ability = sheet && sheet.ability.at(at - 1);
    return { item: item ? item.value : '', baseAbility: ability ? ability.value : '' };
  }

  /** The action that a decision shows, -1 if it does not. */
  chosen(decision, mask) {
    if (decision.arrival >= 0) return this.slotOf(this.revealed.arrivals.get(decision.arrival));
    if (decision.isSwitch) return -1;
    const moves = mask >> 6;
    // Who stayed and had one move to choose has chosen it.
    if (decision.stayed && !decision.mayHaveLeft && this.bound.isSure && this.bound.isAlone && moves) {
      return 6 + (31 - Math.clz32(moves));
    }
    if (decision.move < 0 || decision.isOverridden) return -1;
    return this.slotOfMove(this.lines[decision.move].parts);
  }

  slotOf(sheet) {
    return this.tracker.own.team.findIndex(pokemon => this.sheets.get(pokemon) === sheet);
  }

  slotOfMove(parts) {
    const name = parts[1] === 'cant' ? parts[4] : parts[3];
    if (!name || name.startsWith('[')) return -1;
    const id = toID(name);
    const slot = this.bound.moves.findIndex(move => move.id === id);
    if (slot < 0) return -1;
    return 6 + (this.bound.isAlone ? boundSlot(this.tracker.lastRequest) : slot);
  }

  /** Whether nobody was asked, because there was nothing to choose. */
  isForced(decision, mask) {
    if (mask & (mask - 1)) return false;
    if (decision.isSwitch) return this.revealed.teamSize > 0;
    return this.bound.isSure && (this.bound.isAlone || this.bound.moves.length === 4);
  }

  /** The legal actions as bits, those of them that are known for sure, and those that later lines tell. */
  masks(decision, mask) {
    const sure = decision.isSwitch || this.bound.isSure;
    let legalNow = mask;
    let known = sure ? (1 << 30) - 1 : 0;
    let filled = 0;
    if (!this.revealed.teamSize) known &= ~63;
    if (decision.isSwitch || this.bound.isAlone) return [legalNow, known, filled];
    const { active } = this.tracker.own;
    const sheet = this.sheets.get(active);
    for (let j = 0; j < 4; j++) {
      const bits = 0x111110 << 2 << j & ~63; // the move, in whatever way it is used
      const level = j < active.moves.length ? moveLevel(sheet, active.moves[j], decision.at, active) : UNKNOWN;
      if (level === KNOWN) continue;
      if (level === FILLED) filled |= bits & known;
      else if (active.moves[j] === undefined || active.moves[j].move.id === UNKNOWN_MOVE) legalNow &= ~bits;
      known &= ~bits;
    }
    return [legalNow, known, filled];
  }
}

module.exports = { View };
