'use strict';
// What the whole log reveals of one side: who is in the team, and of each its moves, item, ability and tera type, with
// the line that tells it first. Before that line its player knew it and nobody else did.
//
// It is what the other player's tracker finds out, line by line.

const { Tracker } = require('../tracker');
const { reading } = require('./log');
const { toID } = require('../tracker/tables');

// What one of these brought was somebody else's before, or had been lost.
const PASSED_ON = new Set([
  'trick', 'switcheroo', 'thief', 'covet', 'bestow', 'recycle', 'pickpocket', 'magician', 'symbiosis', 'harvest',
  'pickup',
]);

/** What a Pokemon has, from line to line. */
class Course {
  constructor() {
    this.first = null; // what it had at the beginning, null while that is not known
    this.isOpen = true; // what is told next is what it had at the beginning
    this.firstTold = -1; // the line that told what it had at the beginning
    this.known = []; // {value, at}: from this line on everybody knows that it has this
  }

  copy() {
    return Object.assign(new Course(), this, { known: [...this.known] });
  }

  tell(value, at) {
    this.begin(value, at);
    this.known.push({ value, at });
  }

  /** Everybody was shown before the battle what it has. */
  show(value, at) {
    this.known = [{ value, at }, ...this.known.filter(one => one.value !== this.first)];
    [this.first, this.firstTold, this.isOpen] = [value, at, false];
  }

  /** It had this from the beginning. */
  begin(value, at) {
    if (this.isOpen) [this.first, this.firstTold] = [value, at];
    this.isOpen = false;
  }

  change(value, at) {
    this.isOpen = false;
    this.known.push({ value, at });
  }

  /** What was told of another one since a stint began was told of this one: what it had then need not be its first. */
  takeOver(other, before, at) {
    if (other.known.length === before.known.length) return;
    if (before.isOpen && other.first !== null) this.begin(other.first, at);
    this.isOpen = false;
  }

  /** From here on it has something that nobody was told of. */
  forget(at) {
    this.change(null, at);
  }

  /** What it has at a line: {value, isFilled: only later lines tell, told: which}, null if that is not known. */
  at(line) {
    let last = null;
    for (const one of this.known) if (one.at <= line) last = one;
    if (last) return last.value === null ? null : { value: last.value, isFilled: false, told: last.at };
    return this.first === null ? null : { value: this.first, isFilled: true, told: this.firstTold };
  }
}

/** One Pokemon of the side. */
class Sheet {
  constructor(seen, at) {
    this.seen = seen; // the tracker's Pokemon
    this.at = at; // the line that names it
    this.place = Infinity; // among those that came in, in that order
    this.details = seen.details;
    this.moves = []; // {id, at}, in order of discovery
    this.item = new Course();
    this.ability = new Course();
    this.tera = new Course();
    this.last = { item: '', ability: '', tera: '' }; // as the line before left it
    this.before = null; // what was known when it came in
  }

  /** What is known now, in case it proves to be somebody else's. */
  remember() {
    const { moves, item, ability, tera, last } = this;
    const courses = { item: item.copy(), ability: ability.copy(), tera: tera.copy() };
    this.before = { moves: [...moves], ...courses, last: { ...last } };
  }

  recall() {
    Object.assign(this, this.before);
  }

  /** What an open team sheet says of it. */
  show({ moves, item, ability, teraType }, at) {
    for (const move of moves) {
      const known = this.moves.find(({ id }) => id === toID(move));
      if (known) known.at = at;
      else if (this.moves.length < 4) this.moves.push({ id: toID(move), at });
    }
    this.item.show(toID(item || 'noitem'), at);
    if (ability) this.ability.show(toID(ability), at);
    if (teraType) this.tera.show(teraType, at);
  }

  note(at, parts) {
    const { seen, last } = this;
    for (let j = this.moves.length; j < seen.baseMoves.length; j++) {
      this.moves.push({ id: seen.baseMoves[j].move.id, at });
    }
    if (seen.item !== last.item) this.noteItem(at, parts);
    if (parts[1] === 'detailschange') this.ability.isOpen = false; // its new form has another one
    if (seen.baseAbility !== last.ability) {
      if (seen.baseAbility) this.ability.tell(seen.baseAbility, at);
      else this.ability.forget(at);
    }
    if (seen.teraType !== last.tera) this.tera.tell(seen.teraType, at);
    this.last = { item: seen.item, ability: seen.baseAbility, tera: seen.teraType };
  }

  noteItem(at, parts) {
    const { seen, item } = this;
    const from = parts.find(part => part.startsWith('[from] '));
    const cause = from ? toID(from.slice(7).replace(/^[a-z]+: /, '')) : '';
    if (parts[1] === '-item' && PASSED_ON.has(cause)) {
      item.change(seen.item, at);
    } else if (seen.item === 'noitem') {
      if (parts[1] === '-enditem') item.begin(seen.lostItem, at);
      item.change(seen.item, at);
    } else {
      item.tell(seen.item, at);
    }
  }
}

/** Reads a log for one side. */
class Revealed {
  /**
   * @param dex of the format
   * @param {import('./log').Log} log
   * @param {string} id whose side
   * @param {(packed: string) => ?object[]} unpack a team that was shown openly
   */
  constructor(dex, log, id, unpack) {
    this.id = id;
    this.arrivals = new Map(); // line -> the Sheet of who comes in there
    this.unmasked = new Map(); // line -> the Sheet of who proves there to be the one in battle
    this.seeming = null; // the Sheet of who stands in battle
    this.sheets = new Map(); // the tracker's Pokemon -> Sheet
    this.tracker = new Tracker(dex, id === 'p1' ? 'p2' : 'p1');
    const { texts } = log.seenBy(this.tracker.id);
    texts.forEach((text, i) => reading(log.lines[i], () => this.read(text, i, log.lines[i])));
    const { team, hasPreview } = this.tracker.opponent;
    this.team = team.map(seen => this.sheets.get(seen)).sort((one, other) => one.place - other.place);
    this.teamSize = log.players[id].teamSize || (hasPreview ? team.length : 0);
    const { sheet } = log.players[id];
    if (sheet) for (const set of unpack(sheet.team) || []) this.show(dex, set, sheet.at);
  }

  show(dex, set, at) {
    const { baseSpecies } = dex.species.get(set.species || set.name);
    const found = this.team.filter(({ seen }) => seen.original.baseSpecies === baseSpecies);
    if (found.length === 1) found[0].show(set, at);
  }

  read(text, at, { kind, parts }) {
    this.tracker.read(text);
    const { team, active } = this.tracker.opponent;
    for (const seen of team.slice(kind === 'poke' || kind === 'replace' ? 0 : -1)) {
      if (!this.sheets.has(seen)) this.sheets.set(seen, new Sheet(seen, at));
    }
    if (!active) return;
    const sheet = this.sheets.get(active);
    if (kind === 'replace' && parts[2].startsWith(this.id) && this.seeming !== sheet) {
      sheet.item.takeOver(this.seeming.item, this.seeming.before.item, at);
      this.seeming.recall();
      this.unmasked.set(at, sheet);
    }
    this.seeming = sheet;
    if ((kind === 'switch' || kind === 'drag') && parts[2].startsWith(this.id)) {
      this.arrivals.set(at, sheet);
      if (sheet.place === Infinity) sheet.details = active.details; // which a preview may have left open
      sheet.place = Math.min(sheet.place, this.arrivals.size);
      sheet.remember();
    } else if (this.unmasked.has(at)) {
      sheet.place = Math.min(sheet.place, this.arrivals.size + 0.5);
      sheet.remember();
    }
    sheet.note(at, parts);
  }
}

module.exports = { Revealed };
