'use strict';
// From a tracker to the bytes that the layout declares. The layout comes as JSON; here is only how each
// feature is computed.

const { Codes } = require('./codes');
const { legal, boundSlot } = require('../request');

const PSEUDO = new Set(['recharge', 'fight', 'struggle']);

const clamp = value => (value > 127 ? 127 : value < -127 ? -127 : Math.round(value));

/** Percent, such that only none is 0 and only all is 100. */
function percent(part, whole) {
  if (part <= 0) return 0;
  if (part >= whole) return 100;
  return Math.max(1, Math.min(99, Math.round((100 * part) / whole)));
}

const STAGES = new Float64Array(13);
for (let n = -6; n <= 6; n++) STAGES[n + 6] = n > 0 ? (2 + n) / 2 : 2 / (2 - n);

/** What was encoded last of one tracker: what has not changed since is not computed again. */
class Image {
  constructor(encoder) {
    this.encoder = encoder;
    this.bytes = new Int8Array(encoder.size);
    this.pokemon = new Array(2 * encoder.teamSize).fill(null);
    this.versions = new Float64Array(2 * encoder.teamSize);
    this.bound = '';
  }
}

class Encoder {
  /**
   * @param layout `layout.describe(generation)`
   * @param tables `layout.tables()`
   * @param dex of the format
   */
  constructor({ layout, tables }, dex) {
    this.codes = new Codes(layout, tables, dex);
    this.size = layout.size;
    const [global, own, opponent] = layout.groups;
    this.globalAt = global.offset;
    this.ownAt = own.offset;
    this.opponentAt = opponent.offset;
    this.teamSize = own.count;
    this.pokemonSize = own.size;
    const { moves } = layout.kinds.pokemon;
    this.movesAt = moves.offset;
    this.moveSize = moves.size;
    this.numMoves = moves.count;
  }

  /**
   * Write what the tracker's player knows.
   * @param tracker whose
   * @param bytes an Int8Array with room for the layout's size from the offset on
   * @param offset where to begin
   */
  encode(tracker, bytes, offset) {
    tracker.settle();
    let { image } = tracker;
    if (!image || image.encoder !== this) image = tracker.image = new Image(this);
    const request = tracker.lastRequest;
    const mask = legal(request);
    const own = tracker.own.active;
    const foe = tracker.opponent.active;
    this.encodeGlobal(tracker, image.bytes, request, own, foe);
    const active = request && request.active && request.active[0];
    const bound = active && active.moves.length === 1 ? boundMove(request) : '';
    for (let i = 0; i < this.teamSize; i++) {
      const pokemon = tracker.own.team[i] || null;
      const isActive = pokemon !== null && pokemon === own;
      const at = this.ownAt + i * this.pokemonSize;
      if (this.encodePokemon(image, i, at, pokemon, isActive ? bound : '')) {
        this.encodeContext(image.bytes, at, pokemon, foe, true, (mask >> i) & 1);
        this.encodeMoves(image.bytes, at, pokemon, isActive ? foe : null, isActive ? mask >> 6 : 0, isActive ? bound : '');
      }
    }
    for (let i = 0; i < this.teamSize; i++) {
      const pokemon = tracker.opponent.team[i] || null;
      const at = this.opponentAt + i * this.pokemonSize;
      if (this.encodePokemon(image, this.teamSize + i, at, pokemon, '')) {
        const rival = pokemon === foe ? own : null;
        this.encodeContext(image.bytes, at, pokemon, rival, false, 0);
        this.encodeMoves(image.bytes, at, pokemon, rival, 0, '');
      }
    }
    bytes.set(image.bytes, offset);
  }

  encodeGlobal(tracker, o, request, own, foe) {
    const { G } = this.codes;
    const at = this.globalAt;
    const active = (request && request.active && request.active[0]) || NOTHING;
    o[at + G.turn] = Math.min(127, tracker.turn);
    o[at + G.force_switch] = request && request.forceSwitch ? 1 : 0;
    o[at + G.trapped] = active.trapped ? 1 : 0;
    o[at + G.maybe_trapped] = active.maybeTrapped ? 1 : 0;
    o[at + G.can_mega_evolve] =
      active.canMegaEvo || active.canMegaEvoX || active.canMegaEvoY || active.canUltraBurst ? 1 : 0;
    o[at + G.can_z_move] = active.canZMove ? 1 : 0;
    o[at + G.can_dynamax] = active.canDynamax ? 1 : 0;
    o[at + G.can_tera] = active.canTerastallize ? 1 : 0;
    this.codes.flagOne(o, at + G.weather, this.codes.weathers, tracker.weather);
    this.codes.flagAll(o, at + G.field, this.codes.fields, tracker.field);
    this.codes.layers(o, at + G.own_side, tracker.own.conditions);
    this.codes.layers(o, at + G.opponent_side, tracker.opponent.conditions);
    o[at + G.own_remaining] = tracker.own.team.reduce((n, p) => n + (p.fainted ? 0 : 1), 0);
    o[at + G.opponent_remaining] = tracker.opponent.remaining;
    let seen = 0;
    for (const pokemon of tracker.opponent.team) if (pokemon.revealed) seen++;
    o[at + G.opponent_seen] = Math.min(this.teamSize, seen);
    const both = own && foe;
    o[at + G.physical_ratio] = both ? clamp(16 * Math.log2(ratio(own, foe, 0))) : 0;
    o[at + G.special_ratio] = both ? clamp(16 * Math.log2(ratio(own, foe, 2))) : 0;
    o[at + G.opponent_physical_ratio] = both ? clamp(16 * Math.log2(ratio(foe, own, 0))) : 0;
    o[at + G.opponent_special_ratio] = both ? clamp(16 * Math.log2(ratio(foe, own, 2))) : 0;
  }

  /**
   * Write what depends on the Pokemon alone; return whether there is one.
   * Fast path: one that has not changed since the last time stays as it was written.
   */
  encodePokemon(image, slot, at, pokemon, bound) {
    const { bytes } = image;
    if (pokemon === null) {
      if (image.pokemon[slot] !== null) bytes.fill(0, at, at + this.pokemonSize);
      image.pokemon[slot] = null;
      return false;
    }
    if (image.pokemon[slot] === pokemon && image.versions[slot] === pokemon.version) {
      if (!pokemon.active || pokemon.key === '' || image.bound === bound) return true;
    }
    if (pokemon.active && pokemon.key !== '') image.bound = bound;
    image.pokemon[slot] = pokemon;
    image.versions[slot] = pokemon.version;
    this.writePokemon(bytes, at, pokemon);
    this.writeMoves(bytes, at + this.movesAt, pokemon, bound);
    return true;
  }

  writePokemon(o, at, p) {
    const { codes } = this;
    const { P } = codes;
    o[at + P.known] = 1;
    o[at + P.active] = p.active ? 1 : 0;
    o[at + P.fainted] = p.fainted ? 1 : 0;
    o[at + P.revealed] = p.revealed ? 1 : 0;
    o[at + P.hp] = p.fainted ? 0 : percent(p.hp, p.maxhp);
    codes.flagOne(o, at + P.status, codes.statuses, p.status);
    o[at + P.status_counter] = p.status === 'slp' || p.status === 'tox' ? Math.min(15, p.statusCounter) : 0;
    for (let i = 0; i < 7; i++) o[at + P.boosts + i] = p.boosts[i];
    codes.effects(o, at + P.effects, p);
    o[at + P.must_recharge] = p.mustRecharge ? 1 : 0;
    o[at + P.preparing] = p.preparing ? 1 : 0;
    o[at + P.first_turn] = p.active && !p.fainted && p.turns <= 1 ? 1 : 0;
    o[at + P.protect_counter] = p.stall;
    o[at + P.terastallized] = p.terastallized ? 1 : 0;
    const { stats } = p;
    o[at + P.stats] = stats ? Math.min(127, p.maxhp >> 3) : 0;
    for (let i = 1; i < 6; i++) o[at + P.stats + i] = stats ? Math.min(127, stats[codes.stats[i]] >> 3) : 0;
    o[at + P.level] = Math.min(100, p.level);
    codes.write(o, at + P.base_stats, codes.baseStats(p.species));
    codes.write(o, at + P.types, codes.types(p.types).flags);
    codes.id(o, at + P.species, codes.speciesID(p.species));
    codes.id(o, at + P.ability, codes.abilityID(p.ability));
    codes.id(o, at + P.item, codes.itemID(p.item));
    codes.id(o, at + P.tera_type, codes.typeID(p.teraType));
  }

  writeMoves(o, at, p, bound) {
    const { codes } = this;
    const { M } = codes;
    const slots = shownMoves(p, bound);
    const isType = codes.types(p.types).flags;
    for (let j = 0; j < this.numMoves; j++, at += this.moveSize) {
      if (j >= slots.length) {
        o.fill(0, at, at + this.moveSize);
        continue;
      }
      const slot = slots[j];
      const info = codes.move(slot.move || p.tables.move(bound));
      codes.write(o, at, info.bytes);
      const isLast = p.lastMove === info.id || (p.lastMove === 'hiddenpower' && info.id.startsWith('hiddenpower'));
      o[at + M.last_used] = slot.move && isLast ? 1 : 0;
      o[at + M.pp] = slot.move ? percent(slot.pp, slot.maxpp) : 100;
      o[at + M.stab] = info.type >= 0 ? isType[info.type] : 0;
    }
  }

  /** Write what depends on the other side's active Pokemon and on what is legal. */
  encodeContext(o, at, p, rival, isOwn, available) {
    const { codes } = this;
    const { P } = codes;
    o[at + P.available] = available;
    if (!rival) {
      o[at + P.offence] = o[at + P.defence] = o[at + P.faster] = o[at + P.matchup] = 0;
      return;
    }
    const offence = codes.offence(p.types, rival.types);
    const defence = codes.offence(rival.types, p.types);
    const faster = Math.sign(p.species.base.spe - rival.species.base.spe);
    o[at + P.offence] = Math.round(16 * offence);
    o[at + P.defence] = Math.round(16 * defence);
    o[at + P.faster] = faster;
    o[at + P.matchup] = clamp(24 * (offence - defence + 0.1 * faster + 0.4 * (health(p) - health(rival))));
  }

  encodeMoves(o, at, p, rival, mask, bound) {
    const { codes } = this;
    const { M } = codes;
    const slots = shownMoves(p, bound);
    at += this.movesAt;
    for (let j = 0; j < slots.length && j < this.numMoves; j++, at += this.moveSize) {
      o[at + M.available] = (mask >> j) & 1;
      if (!rival) {
        o[at + M.effectiveness] = o[at + M.damage] = 0;
        continue;
      }
      const info = codes.move(slots[j].move || p.tables.move(bound));
      const effectiveness = info.type >= 0 ? codes.types(rival.types).taken[info.type] : 1;
      o[at + M.effectiveness] = clamp(16 * effectiveness);
      let damage = 0;
      if (info.power) {
        const stab = o[at + M.stab] ? 1.5 : 1;
        damage = info.power * effectiveness * stab * ratio(p, rival, info.isPhysical ? 0 : 2);
      }
      o[at + M.damage] = clamp(20 * Math.log2(1 + damage / 16));
    }
  }
}

const NOTHING = Object.freeze({});
const PSEUDO_SLOT = [{ move: null }];

/** The moves as actions count them: the one that no slot holds stands alone. */
function shownMoves(pokemon, bound) {
  return bound === '' ? pokemon.moves : PSEUDO_SLOT;
}

/** The move the active Pokemon is bound to, if none of its slots has it. */
function boundMove(request) {
  const { id } = request.active[0].moves[0];
  if (PSEUDO.has(id)) return id;
  const own = request.side.pokemon.find(entry => entry.active).moves;
  return own.some(name => name === id || name.startsWith(id)) ? '' : id;
}

const health = pokemon => (pokemon.fainted ? 0 : Math.min(1, pokemon.hp / pokemon.maxhp));

const ATTACK = ['atk', 'def', 'spa', 'spd'];

/** Estimated attacking stat over the other's defending stat; from 0: physical, from 2: special. */
function ratio(attacker, defender, stat) {
  const attack = (2 * attacker.species.base[ATTACK[stat]] + 36) * STAGES[attacker.boosts[stat] + 6];
  const defence = (2 * defender.species.base[ATTACK[stat + 1]] + 36) * STAGES[defender.boosts[stat + 1] + 6];
  return attack / defence;
}

module.exports = { Encoder };
