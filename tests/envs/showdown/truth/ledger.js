'use strict';
// What has been shown of each side's Pokemon so far, kept by the simulator's own objects: who a line is about is
// never guessed from its text. It is told of a line when the simulator writes it.

const toID = text => `${text}`.toLowerCase().replace(/[^a-z0-9]+/g, '');

/** What the other player has been shown of one Pokemon. */
class Entry {
  constructor(pokemon) {
    this.pokemon = pokemon;
    this.revealed = false;
    this.wasRevealed = false; // before it came in
    this.moves = new Set(); // those it was seen to have by itself
    this.stint = new Set(); // those that were seen since it came in
    this.fresh = new Set(); // of these, those that had not been seen before
    this.lastMove = ''; // that it chose, since it came in
    // Illusions of it that were seen and have not ended: what was seen then is taken for its own.
    this.doubts = 0;
    this.hidesForm = false; // team preview did not tell its form
    this.item = null; // last shown, null if never
    this.ability = null;
  }
}

class Ledger {
  watch(battle) {
    this.battle = battle;
    this.sides = new Map(); // side -> entries in order of appearance
    this.previewed = new Map();
    this.seeming = new Map(); // side -> the entry that seems to stand in battle
    this.sleeps = new WeakMap(); // the state of a sleep -> the time it began with, which gens 2 to 4 do not keep
    this.watched = new Set();
    this.masked = new Map(); // Pokemon -> how often it stood there as somebody else without being found out
    const { add, addMove } = battle;
    battle.add = (...parts) => {
      this.note(parts);
      return add.apply(battle, parts);
    };
    battle.addMove = (...parts) => {
      this.note(parts);
      return addMove.apply(battle, parts);
    };
  }

  entries(side) {
    if (!this.sides.has(side)) this.sides.set(side, []);
    return this.sides.get(side);
  }

  entry(pokemon) {
    const entries = this.entries(pokemon.side);
    let entry = entries.find(one => one.pokemon === pokemon);
    if (!entry) entries.push((entry = new Entry(pokemon)));
    return entry;
  }

  note(parts) {
    const [kind, who] = parts;
    if (kind === 'poke') {
      const place = this.previewed.get(who) || 0;
      this.previewed.set(who, place + 1);
      const side = this.battle.sides.find(one => one.id === `${who}` || one === who);
      this.entry(side.pokemon[place]).hidesForm = `${parts[2]}`.includes('-*');
    } else if (kind === 'switch' || kind === 'drag') {
      this.comeIn(who);
    } else if (kind === 'replace') {
      this.replace(who);
    } else if (kind === 'move') {
      this.move(who, parts.slice(2));
    } else if (kind === '-item' || kind === '-enditem') {
      this.seen(who).item = kind === '-item' ? toID(parts[2].name || parts[2]) : 'noitem';
    } else if (kind === '-ability') {
      this.seen(who).ability = toID(parts[2].name || parts[2]);
    }
  }

  seen(pokemon) {
    return this.entry(pokemon.illusion || pokemon);
  }

  /** Note how long each sleep begins with. */
  watchSleep(pokemon) {
    if (this.watched.has(pokemon)) return;
    this.watched.add(pokemon);
    const { setStatus } = pokemon;
    pokemon.setStatus = (...given) => {
      const isSet = setStatus.apply(pokemon, given);
      if (isSet && pokemon.status === 'slp') this.sleeps.set(pokemon.statusState, pokemon.statusState.time);
      return isSet;
    };
  }

  comeIn(pokemon) {
    this.watchSleep(pokemon);
    const entry = this.seen(pokemon);
    entry.wasRevealed = entry.revealed;
    entry.revealed = true;
    entry.stint = new Set();
    entry.fresh = new Set();
    entry.lastMove = '';
    if (pokemon.illusion) {
      entry.doubts++;
      this.masked.set(pokemon, (this.masked.get(pokemon) || 0) + 1);
    }
    this.seeming.set(pokemon.side, entry);
  }

  /** An Illusion ended: what was seen since it came in was of this one. */
  replace(pokemon) {
    const seeming = this.seeming.get(pokemon.side);
    const entry = this.entry(pokemon);
    seeming.doubts--;
    this.masked.set(pokemon, this.masked.get(pokemon) - 1);
    seeming.revealed = seeming.wasRevealed;
    for (const id of seeming.fresh) seeming.moves.delete(id);
    for (const id of seeming.stint) entry.moves.add(id);
    entry.revealed = true;
    entry.lastMove = seeming.lastMove;
    this.seeming.set(pokemon.side, entry);
  }

  move(pokemon, [name, told]) {
    const rest = told.slice(told.indexOf('|') + 1 || told.length); // past the target's name, which may be anything
    const entry = this.seen(pokemon);
    const id = toID(name);
    if (/\[from\] ?(?!lockedmove)/.test(rest)) return;
    entry.lastMove = id;
    if (/\[from\]/.test(rest) || pokemon.transformed) return;
    if (!entry.moves.has(id)) entry.fresh.add(id);
    entry.stint.add(id);
    entry.moves.add(id);
  }
}

module.exports = { Ledger, toID };
