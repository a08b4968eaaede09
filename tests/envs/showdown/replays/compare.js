'use strict';
// The rows of an import against what the players saw: all that is marked as known or filled has to be the same.

const HEAD = 16;
const NONE = 255;

class Report {
  constructor() {
    this.decisions = 0; // that players made
    this.rows = 0;
    this.extra = 0; // rows where there was one thing to choose, which the log does not tell
    this.chosen = 0; // choices that the importer says it knows
    this.moves = { decisions: 0, chosen: 0 }; // of them, where a move could be chosen
    this.bytes = { known: 0, filled: 0, all: 0 };
    this.wrong = {}; // what differs -> how often
    this.examples = {};
  }

  count(counts, what, where, ...details) {
    counts[what] = (counts[what] || 0) + 1;
    (this.examples[what] ??= []).length < 3 && this.examples[what].push(`${where}: ${details.join(', ')}`);
  }
}

/** Where a kind's features stand, [name, offset, size]. */
const fields = kind => [
  ...kind.dense.map(({ name, offset, size }) => [name, offset, size]),
  ...kind.ids.map(({ name, offset }) => [name, offset, 2]),
];

class Comparison {
  constructor({ layout }, report, where) {
    this.layout = layout;
    this.report = report;
    this.where = where;
    this.half = (layout.size + 7) >> 3;
    this.rowSize = HEAD + layout.size + 2 * this.half;
    const { pokemon, global } = layout.kinds;
    this.global = fields(global);
    this.pokemon = fields(pokemon);
    this.move = fields(pokemon.moves);
    this.moves = pokemon.moves;
    [this.globalGroup, this.own, this.opponent] = layout.groups;
  }

  compare(played, said, buffer) {
    const views = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    let at = 0;
    said.players.forEach((player, n) => {
      const rows = [];
      for (let i = 0; i < player.decisions; i++, at += this.rowSize) rows.push(this.row(views, buffer, at));
      this.align(played.decisions[n], rows, `${this.where} p${n + 1}`);
      if (player.outcome !== played.outcomes[n]) this.report.count(this.report.wrong, 'outcome', this.where, player.outcome);
    });
  }

  row(view, buffer, at) {
    const flags = view.getUint8(at + 15);
    const action = view.getUint8(at + 14);
    const start = at + HEAD;
    const { size } = this.layout;
    return {
      mask: view.getUint32(at, true),
      maskKnown: view.getUint32(at + 4, true) | view.getUint32(at + 8, true),
      turn: view.getUint16(at + 12, true),
      action: action === NONE ? -1 : action,
      isSwitch: !!(flags & 2),
      bytes: new Int8Array(buffer.buffer, buffer.byteOffset + start, size),
      known: buffer.subarray(start + size, start + size + this.half),
      filled: buffer.subarray(start + size + this.half, start + size + 2 * this.half),
    };
  }

  /** Rows and decisions in order; a row more is one where the player had no choice. */
  align(decisions, rows, where) {
    const { report } = this;
    report.decisions += decisions.length;
    report.rows += rows.length;
    let r = 0;
    for (const decision of decisions) {
      const isIts = row => row.turn === decision.turn && row.isSwitch === decision.isSwitch;
      const found = rows.findIndex((row, n) => n >= r && isIts(row));
      if (found < 0) {
        report.count(report.wrong, 'missing', where, `turn ${decision.turn}`, decision.isSwitch ? 'switch' : 'move');
        continue;
      }
      while (r < found) this.superfluous(rows[r++], where);
      if (!decision.isSwitch) report.moves.decisions++;
      this.both(decision, rows[r++], `${where} turn ${decision.turn}${decision.isSwitch ? ' switch' : ''}`);
    }
    for (; r < rows.length; r++) this.superfluous(rows[r], where);
  }

  superfluous(row, where) {
    this.report.extra++;
    const certain = row.mask & row.maskKnown;
    if (certain & (certain - 1)) {
      this.report.count(this.report.wrong, 'superfluous', where, `turn ${row.turn}`, row.isSwitch ? 'switch' : 'move', row.mask.toString(2));
    }
  }

  both(decision, row, where) {
    const { report } = this;
    const slots = this.slotsOf(decision, row, where);
    this.global.forEach(field => this.field(decision, row, 0, 0, field, 'global', where));
    for (let i = 0; i < this.own.count; i++) {
      if (slots[i] === undefined) continue;
      const { place, moves } = slots[i];
      const at = this.own.offset + i * this.own.size;
      const to = this.own.offset + place * this.own.size;
      this.pokemonOf(decision, row, at, to, moves, 'own', `${where} own ${decision.team[place] ? decision.team[place].who : place}`);
    }
    for (let i = 0; i < this.opponent.count; i++) {
      const at = this.opponent.offset + i * this.opponent.size;
      this.pokemonOf(decision, row, at, at, [0, 1, 2, 3], 'opponent', `${where} opponent ${i}`);
    }
    this.maskOf(decision, row, slots, where);
    if (row.action < 0) return;
    report.chosen++;
    if (!decision.isSwitch) report.moves.chosen++;
    const action = toView(row.action, slots);
    if (action !== decision.action) report.count(report.wrong, 'choice', where, `${row.action} as ${action}, chosen ${decision.action}`);
  }

  pokemonOf(decision, row, at, to, moves, whose, where) {
    this.pokemon.forEach(field => this.field(decision, row, at, to, field, whose, where));
    for (let j = 0; j < this.moves.count; j++) {
      if (moves[j] === undefined) continue;
      const from = at + this.moves.offset + j * this.moves.size;
      const there = to + this.moves.offset + moves[j] * this.moves.size;
      this.move.forEach(field => this.field(decision, row, from, there, field, `${whose} move`, `${where} move ${j}`));
    }
  }

  field(decision, row, at, to, [name, offset, size], whose, where) {
    const { report } = this;
    for (let i = 0; i < size; i++) {
      const here = at + offset + i;
      const known = (row.known[here >> 3] >> (here & 7)) & 1;
      const filled = (row.filled[here >> 3] >> (here & 7)) & 1;
      report.bytes.all++;
      report.bytes.known += known;
      report.bytes.filled += filled;
      const truth = decision.bytes[to + offset + i];
      if ((known || filled) && row.bytes[here] !== truth) {
        report.count(report.wrong, `${whose} ${name}`, where, `byte ${i}`, `${row.bytes[here]} not ${truth}`);
      }
    }
  }

  maskOf(decision, row, slots, where) {
    for (let action = 0; action < 26; action++) {
      if (!((row.maskKnown >> action) & 1)) continue;
      const there = toView(action, slots);
      if (there === undefined || ((row.mask >> action) & 1) === ((decision.mask >> there) & 1)) continue;
      this.report.count(this.report.wrong, action < 6 ? 'mask of switches' : 'mask of moves', where, `action ${action} as ${there}`, (row.mask >> action) & 1);
    }
  }

  /** Of each own place of a row, where the player had that Pokemon, and of its moves likewise. */
  slotsOf(decision, row, where) {
    const free = new Set(decision.team.keys());
    const id = name => this.pokemon.find(([field]) => field === name)[1];
    const read = (bytes, at) => (bytes[at] & 255) | ((bytes[at + 1] & 255) << 8);
    const speciesOf = (bytes, i) => read(bytes, this.own.offset + i * this.own.size + id('species'));
    const slots = [];
    for (const isNamed of [true, false]) {
      for (let i = 0; i < this.own.count; i++) {
        const species = speciesOf(row.bytes, i);
        if (isNamed !== species > 0) continue;
        const place = [...free].find(n => (isNamed ? speciesOf(decision.bytes, n) === species : true));
        if (place === undefined) {
          if (isNamed) this.report.count(this.report.wrong, 'own Pokemon', where, `place ${i} holds species ${species}`);
          continue;
        }
        free.delete(place);
        slots[i] = { place, moves: this.movesOf(decision, row, i, place) };
      }
    }
    return slots;
  }

  movesOf(decision, row, i, place) {
    const at = this.moves.offset + this.move.find(([field]) => field === 'move')[1];
    const read = (bytes, slot, j) => {
      const here = this.own.offset + slot * this.own.size + at + j * this.moves.size;
      return (bytes[here] & 255) | ((bytes[here + 1] & 255) << 8);
    };
    const free = new Set([0, 1, 2, 3]);
    const moves = [];
    for (let j = 0; j < 4; j++) {
      const move = read(row.bytes, i, j);
      if (!move) continue;
      const there = [...free].find(k => read(decision.bytes, place, k) === move);
      if (there === undefined) continue;
      moves[j] = there;
      free.delete(there);
    }
    for (let j = 0; j < 4; j++) {
      if (moves[j] !== undefined) continue;
      moves[j] = [...free][0];
      free.delete(moves[j]);
    }
    return moves;
  }
}

/** An action of a row as the player counts them. */
function toView(action, slots) {
  if (action < 6) return slots[action] && slots[action].place;
  const active = slots.find(slot => slot && slot.place === 0);
  if (!active) return undefined;
  const j = (action - 6) % 4;
  return active.moves[j] === undefined ? undefined : action - j + active.moves[j];
}

module.exports = { Report, Comparison };
