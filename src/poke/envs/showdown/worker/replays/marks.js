'use strict';
// Which bytes of an observation made from a log are so for sure, and which nobody but the player knew at the time.

const { toID } = require('../tracker/tables');
const { FIRST } = require('./gimmicks');

const UNKNOWN = 0; // and 0 in the observation
const KNOWN = 1; // would be the same in the player's own view, and lines have told it by now
const FILLED = 2; // would be the same, and later lines tell it
const ESTIMATE = 3; // unknown, but near what it is

const ROUNDED = 4; // of health: known to one percent

const ALL_MOVES = ((1 << 26) - 1) & ~63;
const EACH_WAY = 0x444440; // the actions of the first move: as it is, mega evolving and so on
const RATIOS = ['physical_ratio', 'special_ratio', 'opponent_physical_ratio', 'opponent_special_ratio'];
const GIMMICK_FLAGS = [
  ['can_mega_evolve', 'mega'], ['can_z_move', 'zmove'], ['can_dynamax', 'dynamax'], ['can_tera', 'terastallize'],
];
const HELD_TYPES = new Set([493, 773]);
const OF_WHO = [
  'species', 'level', 'base_stats', 'types', 'offence', 'defence', 'faster', 'matchup', 'ability', 'item', 'tera_type',
];
const OF_TYPE = ['effectiveness', 'stab', 'damage'];
const HIDDEN = ['move', 'type', 'category', 'base_power', ...OF_TYPE];

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
    this.lockedMove = pokemon.dense.find(feature => feature.name === 'effects').parts.indexOf('LOCKED_MOVE');
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
    const { levels } = this;
    const { own, opponent } = view.tracker;
    levels.fill(KNOWN);
    this.judgeGlobal(view, decision);
    for (let i = 0; i < this.teamSize; i++) {
      const at = this.ownAt + i * this.pokemonSize;
      const pokemon = own.team[i];
      if (pokemon) this.judgeOwn(view, decision, at, pokemon, view.sheets.get(pokemon));
      else if (!view.revealed.teamSize) levels.fill(UNKNOWN, at, at + this.pokemonSize);
    }
    opponent.team.slice(0, this.teamSize).forEach((pokemon, i) => {
      this.judgeOpponent(view, decision, this.opponentAt + i * this.pokemonSize, pokemon);
    });
    return levels;
  }

  judgeGlobal(view, decision) {
    const { G, globalAt } = this;
    const at = decision.at;
    const { active } = view.tracker.own;
    const isDoubted = view.doubts.isAt(at) || (active && view.doubts.mayBe(view.sheets.get(active), at));
    if (!view.revealed.teamSize || view.doubts.hasBegun(at)) this.set(globalAt, G.own_remaining, ESTIMATE);
    if (isDoubted) for (const name of RATIOS) this.set(globalAt, G[name], ESTIMATE);
    if (decision.isSwitch) return;
    const leaving = isDoubted ? ESTIMATE : leavingLevel(view, decision);
    this.set(globalAt, G.trapped, leaving);
    this.set(globalAt, G.maybe_trapped, leaving);
    for (const [name, gimmick] of GIMMICK_FLAGS) {
      const isSure = view.sure[gimmick] && !isDoubted;
      this.set(globalAt, G[name], isSure ? choosingLevel(view) : ESTIMATE);
    }
  }

  judgeOwn(view, decision, at, pokemon, sheet) {
    const { P, levels } = this;
    const now = decision.at;
    const isActive = pokemon === view.tracker.own.active;
    if ((isActive && view.doubts.isAt(now)) || view.doubts.mayBe(sheet, now)) {
      this.judgeDoubted(at, sheet);
      return;
    }
    this.set(at, P.stats, UNKNOWN);
    this.set(at, P.available, view.doubts.isAt(now) ? ESTIMATE : leavingLevel(view, decision));
    if (!sheet) {
      this.judgeUnseen(at);
      return;
    }
    this.judgeWho(view, now, at, pokemon, sheet);
    this.judgeHealth(view, at, pokemon, sheet, now);
    if (pokemon.volatiles.has('lockedmove') && !(view.bound && view.bound.isSure)) {
      levels[at + P.effects.at + this.lockedMove] = ESTIMATE;
    }
    this.judgeMoves(view, decision, at + this.moves.offset, pokemon, sheet);
  }

  /** What happened to it may have happened to another one, and the other way round. */
  judgeDoubted(at, sheet) {
    this.levels.fill(ESTIMATE, at, at + this.pokemonSize);
    this.set(at, this.P.stats, UNKNOWN);
    if (!sheet) this.judgeUnseen(at);
  }

  /** Of one that has never been seen the rest is known: it stands on the bench, whole. */
  judgeUnseen(at) {
    for (const name of OF_WHO) this.set(at, this.P[name], UNKNOWN);
    this.levels.fill(UNKNOWN, at + this.moves.offset, at + this.pokemonSize);
  }

  /** What follows from who it is, and what it has. */
  judgeWho(view, now, at, pokemon, sheet) {
    const { P } = this;
    const who = whoLevel(sheet, now);
    const types = typesLevel(view, pokemon, sheet, now);
    const isMeasured = view.tracker.opponent.active !== null;
    for (const name of ['species', 'level', 'base_stats']) this.set(at, P[name], who);
    this.set(at, P.types, types);
    if (isMeasured) {
      this.set(at, P.faster, who);
      for (const name of ['offence', 'defence', 'matchup']) this.set(at, P[name], types);
    }
    const { gen } = view.dex;
    if (gen >= 3) this.set(at, P.ability, abilityLevel(view, pokemon, sheet, now));
    if (gen >= 2) this.set(at, P.item, courseLevel(view, sheet, 'item', now));
    if (gen >= 9) this.set(at, P.tera_type, courseLevel(view, sheet, 'tera', now));
  }

  judgeHealth(view, at, pokemon, sheet, now) {
    const { P } = this;
    const health = healthLevel(view, pokemon, sheet, now);
    // Rounded in percent one is 1 for all, but less than one to who measures.
    this.set(at, P.hp, health === ROUNDED ? (pokemon.hp === 1 && pokemon.maxhp === 100 ? KNOWN : ESTIMATE) : health);
    const measured = view.tracker.opponent.active ? this.get(at, P.matchup) : KNOWN;
    if (view.tracker.opponent.active) this.set(at, P.matchup, worse(measured, health === ROUNDED ? ESTIMATE : health));
    if (pokemon.status === 'slp' && mayHave(pokemon, sheet, now, 'earlybird')) this.set(at, P.status_counter, ESTIMATE);
  }

  judgeMoves(view, decision, at, pokemon, sheet) {
    const { levels, M } = this;
    const now = decision.at;
    const isActive = pokemon === view.tracker.own.active;
    const { bound } = view;
    if (isActive && bound && bound.isAlone && !pokemon.moves.some(slot => slot.move.id === bound.moves[0].id)) {
      // It stands there in place of all moves.
      levels.fill(choosingLevel(view), at, at + this.moves.count * this.moves.size);
      return;
    }
    const types = typesLevel(view, pokemon, sheet, now);
    for (let j = 0; j < this.moves.count; j++, at += this.moves.size) {
      const slot = pokemon.moves[j];
      let level = slot ? moveLevel(view, sheet, slot, now, pokemon) : UNKNOWN;
      if (isActive && bound && bound.mayStruggle) level = worse(level, ESTIMATE);
      levels.fill(level, at, at + this.moves.size);
      if (!slot || level === UNKNOWN) continue;
      const measured = worse(level, pokemon.transformed && view.dex.gen > 1 ? ESTIMATE : types);
      for (const name of OF_TYPE) this.set(at, M[name], measured);
      // Its owner knows of which type it is.
      if (slot.move.id.startsWith('hiddenpower')) for (const name of HIDDEN) this.set(at, M[name], ESTIMATE);
      const isVague = view.isVague(pokemon, slot.move.id) || (pokemon.transformed && view.dex.gen > 1);
      if (isVague) this.set(at, M.pp, ESTIMATE);
      if (isActive) this.set(at, M.available, decision.isSwitch ? level : worse(level, this.usableLevel(view, slot)));
    }
  }

  usableLevel(view, slot) {
    const pokemon = view.tracker.own.active;
    if (view.isVague(pokemon, slot.move.id) && !view.bound.isAlone) return ESTIMATE;
    return choosingLevel(view);
  }

  /** What is measured against the own one, and what was taken from it. */
  judgeOpponent(view, decision, at, pokemon) {
    const { P, M } = this;
    const { own, opponent } = view.tracker;
    const isActive = pokemon === opponent.active;
    const sheet = own.active && view.sheets.get(own.active);
    const now = decision.at;
    let types = KNOWN;
    const isDoubted = view.doubts.isAt(now) || view.doubts.mayBe(sheet, now);
    if (isActive && sheet) types = isDoubted ? ESTIMATE : typesLevel(view, own.active, sheet, now);
    for (let j = 0; j < this.moves.count; j++) {
      const there = at + this.moves.offset + j * this.moves.size;
      for (const name of ['effectiveness', 'damage']) this.set(there, M[name], types);
      if (pokemon.moves[j] && view.isVague(pokemon, pokemon.moves[j].move.id)) this.set(there, M.pp, ESTIMATE);
    }
    if (!isActive || !sheet) return;
    for (const name of ['offence', 'defence']) this.set(at, P[name], types);
    if (types === ESTIMATE) this.set(at, P.faster, ESTIMATE);
    const health = healthLevel(view, own.active, sheet, now);
    this.set(at, P.matchup, worse(types, health === ROUNDED ? ESTIMATE : health));
    if (!pokemon.transformed) return;
    // Moves and ability that it copied from the own one, which are not all known.
    this.levels.fill(UNKNOWN, at + this.moves.offset, at + this.pokemonSize);
    if (view.dex.gen >= 3) this.set(at, P.ability, ESTIMATE);
    this.set(at, P.types, types);
  }

  /** The legal actions as bits, those of them that are known to be so or not, and those that later lines tell. */
  masks(view, decision, mask, action) {
    let [legal, known, filled] = [mask, 0, 0];
    const tell = (bits, level) => {
      if (level === KNOWN) known |= bits;
      if (level === FILLED) filled |= bits;
    };
    const isDoubted = view.doubts.isAt(decision.at);
    const leaving = isDoubted || !view.revealed.teamSize ? ESTIMATE : leavingLevel(view, decision);
    for (let i = 0; i < this.teamSize; i++) {
      const pokemon = view.tracker.own.team[i];
      tell(1 << i, pokemon && view.doubts.mayBe(view.sheets.get(pokemon), decision.at) ? ESTIMATE : leaving);
    }
    if (decision.isSwitch) {
      tell(ALL_MOVES, KNOWN);
    } else if (view.bound.isAlone) {
      tell(ALL_MOVES, isDoubted ? ESTIMATE : choosingLevel(view));
    } else {
      const { active } = view.tracker.own;
      for (let j = 0; j < this.moves.count; j++) {
        const slot = active.moves[j];
        const isUnsure = !slot || isDoubted || view.bound.mayStruggle;
        const level = isUnsure ? UNKNOWN : moveLevel(view, view.sheets.get(active), slot, decision.at, active);
        if (!slot || slot.move.id === '') legal &= ~(EACH_WAY << j);
        else if (level !== UNKNOWN) this.tellMove(view, j, worse(level, this.usableLevel(view, slot)), tell);
      }
    }
    if (action >= 0) {
      legal |= 1 << action;
      if (!((filled >> action) & 1)) known |= 1 << action;
    }
    return [legal, known, filled].map(bits => bits >>> 0);
  }

  tellMove(view, j, level, tell) {
    tell(1 << (6 + j), level);
    for (const [name, first] of Object.entries(FIRST)) tell(1 << (first + j), view.sure[name] ? level : ESTIMATE);
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

/** How sure it is which of the known moves may be chosen. */
function choosingLevel({ bound }) {
  if (!bound.isSure) return ESTIMATE;
  return bound.isFilled ? FILLED : KNOWN;
}

/** How sure it is who may come in. */
function leavingLevel(view, decision) {
  if (decision.isSwitch) return KNOWN;
  if (!view.bound.trapIsSure) return ESTIMATE;
  return view.bound.isFilled ? FILLED : KNOWN;
}

function courseLevel(view, sheet, what, now) {
  const held = sheet[what].at(now - 1);
  if (!held) return UNKNOWN;
  if (view.doubts.isWithin(sheet, held.told)) return ESTIMATE;
  return held.isFilled ? FILLED : KNOWN;
}

function abilityLevel(view, pokemon, sheet, now) {
  if (pokemon.transformed || pokemon.ability !== pokemon.baseAbility) return ESTIMATE;
  return courseLevel(view, sheet, 'ability', now);
}

/** Whether it may have an ability, by all that is known of it. */
function mayHave(pokemon, sheet, now, id) {
  const told = sheet.ability.at(now - 1);
  if (told) return told.value === id;
  return Object.values(pokemon.species.entry.abilities || {}).some(name => toID(name) === id);
}

/** Of one that team preview alone has shown the form may be open. */
function whoLevel(sheet, now) {
  if (sheet.seen.openForm) return ESTIMATE;
  return sheet.at < now ? KNOWN : FILLED;
}

/** Arceus and Silvally are of the type that ability and item make them; who was copied may have been another. */
function typesLevel(view, pokemon, sheet, now) {
  const who = whoLevel(sheet, now);
  if (pokemon.transformed && view.dex.gen >= 5) return ESTIMATE;
  if (!HELD_TYPES.has(pokemon.species.entry.num) || view.dex.gen < 4) return who;
  const held = worse(abilityLevel(view, pokemon, sheet, now), courseLevel(view, sheet, 'item', now));
  return held === KNOWN ? who : ESTIMATE;
}

/** Health in percent is rounded in another way for its player than for others; Regenerator heals in silence. */
function healthLevel(view, pokemon, sheet, now) {
  if (pokemon.fainted || pokemon.hp === pokemon.maxhp) return KNOWN;
  if (!pokemon.active && view.dex.gen >= 5 && mayHave(pokemon, sheet, now, 'regenerator')) return ESTIMATE;
  return view.seen.isExact ? KNOWN : ROUNDED;
}

function moveLevel(view, sheet, slot, now, pokemon) {
  if (slot.move.id === '') return UNKNOWN;
  const known = sheet.moves.find(move => move.id === slot.move.id);
  // Lines told of those of Mimic and Transform; but whom it copied may have been somebody else before.
  if (!known || pokemon.transformed) return pokemon.transformed && view.dex.gen >= 5 ? ESTIMATE : KNOWN;
  if (view.doubts.isWithin(sheet, known.at)) return ESTIMATE;
  return known.at < now ? KNOWN : FILLED;
}

module.exports = { Marks };
