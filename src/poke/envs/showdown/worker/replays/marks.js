'use strict';
// Which bytes of an observation made from a log are so for sure, and which nobody but the player knew at the time.

const UNKNOWN = 0; // and 0 in the observation
const KNOWN = 1; // would be the same in the player's own view, and lines have told it by now
const FILLED = 2; // would be the same, and later lines tell it
const ESTIMATE = 3; // unknown, but near what it is

/** The worse of two: what depends on both is no better known than either. */
function worse(one, other) {
  if (one === KNOWN) return other;
  if (other === KNOWN) return one;
  if (one === FILLED) return other;
  if (other === FILLED) return one;
  return Math.min(one, other);
}

/** Where the features of an entity stand: name -> {at, size}. */
function fieldsOf(kind) {
  const fields = {};
  for (const { name, offset, size } of kind.dense) fields[name] = { at: offset, size };
  for (const { name, offset } of kind.ids) fields[name] = { at: offset, size: 2 };
  return fields;
}

class Marks {
  /** @param layout `layout.describe(generation)` */
  constructor(layout) {
    const { global, pokemon } = layout.kinds;
    this.G = fieldsOf(global);
    this.P = fieldsOf(pokemon);
    this.M = fieldsOf(pokemon.moves);
    [this.globalAt, this.ownAt, this.opponentAt] = layout.groups.map(group => group.offset);
    this.teamSize = layout.groups[1].count;
    this.pokemonSize = layout.groups[1].size;
    this.moves = pokemon.moves;
    this.levels = new Uint8Array(layout.size);
  }

  set(start, { at, size }, level) {
    this.levels.fill(level, start + at, start + at + size);
  }

  get(start, { at }) {
    return this.levels[start + at];
  }

  /**
   * Judge every byte.
   *
   * @param {import('./view').View} view that was asked
   * @param decision what it was asked
   * @returns {Uint8Array} a level each
   */
  judge(view, decision) {
    const { levels, G } = this;
    const { own, opponent } = view.tracker;
    levels.fill(KNOWN);
    const bound = boundLevel(view, decision);
    for (const name of ['trapped', 'maybe_trapped']) this.set(this.globalAt, G[name], view.bound && !decision.isSwitch ? bound : KNOWN);
    if (!view.revealed.teamSize) this.set(this.globalAt, G.own_remaining, ESTIMATE);
    const activeAt = this.ownAt + this.pokemonSize * own.team.indexOf(own.active);
    for (let i = 0; i < this.teamSize; i++) {
      const at = this.ownAt + i * this.pokemonSize;
      const pokemon = own.team[i];
      if (pokemon) this.judgeOwn(view, decision, at, pokemon, view.sheets.get(pokemon), bound);
      else if (!view.revealed.teamSize) levels.fill(UNKNOWN, at, at + this.pokemonSize);
    }
    // What the other side's who stands in battle is measured by.
    const i = opponent.team.indexOf(opponent.active);
    if (i >= 0 && i < this.teamSize) this.judgeRival(view, this.opponentAt + i * this.pokemonSize, activeAt);
    return levels;
  }

  judgeOwn(view, decision, at, pokemon, sheet, bound) {
    const { P, levels } = this;
    if (!sheet) {
      this.judgeUnseen(at, bound);
      return;
    }
    const now = decision.at;
    const who = sheet.at < now ? KNOWN : FILLED;
    const isMeasured = view.tracker.opponent.active !== null;
    for (const name of ['species', 'level', 'base_stats', 'types']) this.set(at, P[name], who);
    for (const name of ['offence', 'defence', 'faster']) this.set(at, P[name], isMeasured ? who : KNOWN);
    const hp = healthLevel(view, pokemon);
    this.set(at, P.hp, hp);
    this.set(at, P.matchup, isMeasured ? worse(who, pokemon.fainted ? KNOWN : exact(view, pokemon)) : KNOWN);
    this.set(at, P.stats, UNKNOWN);
    this.set(at, P.available, bound);
    if (view.dex.gen >= 3) this.set(at, P.ability, courseLevel(sheet.ability, now));
    if (view.dex.gen >= 2) this.set(at, P.item, courseLevel(sheet.item, now));
    if (view.dex.gen >= 9) this.set(at, P.tera_type, courseLevel(sheet.tera, now));
    this.judgeMoves(view, decision, at + this.moves.offset, pokemon, sheet, bound);
    return levels;
  }

  /** One of the team that never comes in: whole, on the bench, and nothing else. */
  judgeUnseen(at, bound) {
    const { P, levels } = this;
    for (const name of ['species', 'level', 'base_stats', 'types', 'offence', 'defence', 'faster', 'matchup', 'stats', 'ability', 'item', 'tera_type']) {
      this.set(at, P[name], UNKNOWN);
    }
    this.set(at, P.available, bound);
    levels.fill(UNKNOWN, at + this.moves.offset, at + this.pokemonSize);
  }

  judgeMoves(view, decision, at, pokemon, sheet, bound) {
    const { levels, M } = this;
    const isActive = pokemon === view.tracker.own.active;
    if (isActive && !decision.isSwitch && view.bound.isAlone && !pokemon.moves.some(slot => slot.move.id === view.bound.moves[0].id)) {
      levels.fill(bound, at, at + this.moves.count * this.moves.size); // it stands there in place of all moves
      return;
    }
    for (let j = 0; j < this.moves.count; j++, at += this.moves.size) {
      const slot = pokemon.moves[j];
      const level = slot ? moveLevel(sheet, slot, decision.at, pokemon) : UNKNOWN;
      levels.fill(level, at, at + this.moves.size);
      if (isActive && slot) this.set(at, M.available, worse(level, decision.isSwitch ? KNOWN : bound));
    }
  }

  judgeRival(view, at, activeAt) {
    const { P, M, levels } = this;
    const { own, opponent } = view.tracker;
    if (!own.active) return;
    const hp = own.active.fainted ? KNOWN : exact(view, own.active);
    this.set(at, P.matchup, worse(this.get(at, P.matchup), hp));
    if (!opponent.active.transformed) return;
    // Moves that it copied from the own one, which is not known to have been seen whole.
    levels.fill(UNKNOWN, at + this.moves.offset, at + this.pokemonSize);
  }

  /** Clear what is unknown, and pack: bits of what is known, then of what is filled, lowest first. */
  pack(bytes, offset, output, at) {
    const { levels } = this;
    const half = (levels.length + 7) >> 3;
    output.fill(0, at, at + 2 * half);
    for (let i = 0; i < levels.length; i++) {
      const level = levels[i];
      if (level === KNOWN) output[at + (i >> 3)] |= 1 << (i & 7);
      else if (level === FILLED) output[at + half + (i >> 3)] |= 1 << (i & 7);
      else if (level === UNKNOWN) bytes[offset + i] = 0;
    }
  }
}

/** How sure it is which actions are legal. */
function boundLevel(view, decision) {
  if (decision.isSwitch) return KNOWN;
  if (!view.bound.isSure) return ESTIMATE;
  return view.bound.isFilled ? FILLED : KNOWN;
}

function courseLevel(course, now) {
  const held = course.at(now - 1);
  if (!held) return UNKNOWN;
  return held.isFilled ? FILLED : KNOWN;
}

/** Health in percent is rounded in one way for the player and in another for the others: but none, whole and 1 are the same. */
function healthLevel(view, pokemon) {
  if (view.seen.isExact || pokemon.fainted) return KNOWN;
  return pokemon.hp === pokemon.maxhp || (pokemon.maxhp === 100 && pokemon.hp === 1) ? KNOWN : ESTIMATE;
}

function exact(view, pokemon) {
  return view.seen.isExact || pokemon.hp === pokemon.maxhp ? KNOWN : ESTIMATE;
}

function moveLevel(sheet, slot, now, pokemon) {
  const known = sheet.moves.find(move => move.id === slot.move.id);
  if (known && !pokemon.transformed) return known.at < now ? KNOWN : FILLED;
  return slot.move.id === '' ? UNKNOWN : KNOWN; // lines told of those of Mimic and Transform
}

module.exports = { Marks, UNKNOWN, KNOWN, FILLED, moveLevel };
