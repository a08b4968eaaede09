'use strict';
// One Pokemon, as far as the player knows it.

const BOOSTS = ['atk', 'def', 'spa', 'spd', 'spe', 'accuracy', 'evasion'];

// What is true of whoever stands in battle since he came in.
const STINT = [
  'volatiles',
  'boosts',
  'lastMove',
  'calledMove',
  'mustRecharge',
  'rechargeLeft',
  'preparing',
  'preparingLeft',
  'turns',
  'stall',
  'stallLeft',
  'transformed',
  'active',
  'revealed',
  'status',
  'statusCounter',
  'skippedSleep',
  'changedTypes',
  'addedType',
];

const HELD_TYPES = {
  493: { ability: 'multitype', ofItem: 'onPlate' },
  773: { ability: 'rkssystem', ofItem: 'onMemory' },
};

let changes = 0;

class MoveSlot {
  constructor(move, pp = move.maxpp, maxpp = move.maxpp) {
    this.move = move;
    this.pp = pp;
    this.maxpp = maxpp;
  }

  /** A move that Transform copied. */
  static copied(move) {
    const pp = Math.min(5, move.entry.pp);
    return new MoveSlot(move, pp, pp);
  }
}

/**
 * What is kept of a Pokemon. Unknown is '' for names, null for numbers of its owner alone.
 * Whoever changes it calls `touch`: the encoder looks at `version` and skips what has not changed.
 */
class Pokemon {
  constructor(tables, species) {
    this.tables = tables;
    this.version = 0;
    this.name = null; // its nickname; null until it is told (team preview tells none)
    this.details = ''; // as lines name it, without its tera type
    this.level = 100;
    this.original = species; // what it entered the battle as
    this.base = species; // what it is again when it leaves the field
    this.species = species; // what it is now
    this.types = species.types;
    this.hp = 100;
    this.maxhp = 100;
    this.status = '';
    this.statusCounter = 0;
    this.skippedSleep = 0; // gen 3: uses of Sleep Talk in a row, forgotten by sleep on leaving
    this.sleptThrough = 0;
    this.fainted = false;
    this.active = false;
    this.revealed = false;
    this.item = '';
    this.lostItem = ''; // what it no longer has
    this.usedAt = 0; // during which of the battle's moves it used one up
    this.ability = '';
    this.baseAbility = '';
    this.lostAbility = ''; // what Mummy took away
    this.abilityOf = this; // who lends it the ability that it has for now, known or not
    this.formerAbility = ''; // before it took a lasting form
    this.teraType = '';
    this.terastallized = '';
    this.addedType = '';
    this.changedTypes = null;
    this.typesAreLooks = false; // they were told at a turn's end: an Illusion's are those of whom it looks like
    this.baseMoves = []; // its own, in order of discovery (own Pokemon: of the request)
    this.moves = this.baseMoves; // those it has now: other ones after Transform or Mimic
    this.listed = { ids: [], slots: null }; // own Pokemon: moves as the last request listed them
    this.boosts = new Int8Array(BOOSTS.length);
    this.volatiles = new Map(); // id -> what is known of it, true if nothing else
    this.lastMove = '';
    this.calledMove = ''; // what another move of its called, while that goes on by itself
    this.mustRecharge = false;
    this.rechargeLeft = 0; // turns; not in gen 1
    this.preparing = '';
    this.preparingLeft = 0;
    this.turns = 0; // turns begun since it came in
    this.stall = 0;
    this.stallLeft = 0;
    this.transformed = false;
    this.stats = null; // {atk, ...}: own Pokemon
    this.isRestored = false; // its PP were, as it came in
    this.strangers = []; // moves it was seen to use since it came in beside four others: an Illusion's
    this.before = null; // what was known when it came in, in case it proves to be someone else
    this.ident = ''; // own Pokemon: as requests name it
    this.key = '';
    this.entryDetails = '';
    this.condition = '';
    this.touch();
  }

  touch() {
    this.version = ++changes;
  }

  /** Read '123/250 par', '48/48', '24/48y', '0 fnt'. */
  readCondition(text) {
    this.condition = text;
    const space = text.indexOf(' ');
    const health = space < 0 ? text : text.slice(0, space);
    const slash = health.indexOf('/');
    if (slash < 0) {
      this.hp = 0;
      return;
    }
    this.hp = parseInt(health, 10);
    this.maxhp = parseInt(health.slice(slash + 1), 10); // the colour after pixels is no part of it
    const status = space < 0 ? '' : text.slice(space + 1);
    if (status !== this.status) this.setStatus(status);
  }

  setStatus(status) {
    this.status = status === 'fnt' ? '' : status;
    this.statusCounter = 0;
    this.skippedSleep = 0;
  }

  has(id) {
    return this.volatiles.has(id);
  }

  /** Its types now, the added one included. */
  typesNow() {
    if (this.terastallized && this.terastallized !== 'Stellar')
      return this.tables.types([this.terastallized]);
    const types = this.changedTypes || this.heldTypes() || this.species.types;
    if (!this.addedType || types.names.includes(this.addedType)) return types;
    return this.tables.types([...types.names, this.addedType]);
  }

  /**
   * In battle Arceus and Silvally are of their plate's or memory's type by their ability alone, else Normal.
   * From gen 7 on lines tell the types of others at each turn's end.
   */
  heldTypes() {
    const held = HELD_TYPES[this.species.entry.num];
    const { gen, dex } = this.tables;
    if (!held || !this.active || this.fainted || this.transformed) return null;
    const { ability, ofItem } = held;
    if (gen === 4) {
      // There its form follows its plate on coming in, and tells its types: those it keeps, whatever becomes of them.
      const isPlain = this.baseAbility !== '' && this.baseAbility !== ability;
      return isPlain ? this.tables.types(['Normal']) : null;
    }
    if (this.ability === '' || gen < 4 || (gen >= 7 && this.key === '')) return null;
    if (this.ability !== ability) return gen < 8 ? this.tables.types(['Normal']) : null;
    if (this.item === '') return null;
    return this.tables.types([dex.items.getByID(this.item)[ofItem] || 'Normal']);
  }

  retype() {
    this.types = this.typesNow();
  }

  /** Become another form or, by Transform, another species; its types follow. */
  become(species) {
    this.species = species;
    this.changedTypes = null;
    this.addedType = '';
    this.retype();
  }

  findMove(id) {
    for (const slot of this.moves) if (slot.move.id === id) return slot;
    // Its owner knows its type, lines do not tell it.
    if (id === 'hiddenpower') return this.moves.find(slot => slot.move.id.startsWith(id)) || null;
    return null;
  }

  /** The slot of a move that it was seen to have; a fifth one is not its own. */
  revealMove(id) {
    const known = this.findMove(id) || this.strangers.find(slot => slot.move.id === id);
    if (known) return known;
    const move = this.tables.move(id);
    const slot = this.transformed ? MoveSlot.copied(move) : new MoveSlot(move);
    if (this.moves.length >= 4 || this.baseMoves.length >= 4) {
      this.strangers.push(slot);
      return slot;
    }
    this.moves.push(slot);
    // Beside a Mimic's move the others are its own; after Transform none is.
    if (this.moves !== this.baseMoves && !this.transformed) this.baseMoves.push(slot);
    return slot;
  }

  copyMoves(model) {
    const seen = move =>
      move.id.startsWith('hiddenpower') ? this.tables.move('hiddenpower') : move;
    this.moves = model.moves.map(({ move }) => MoveSlot.copied(seen(move)));
    this.touch();
  }

  /** Gen 1: the move that Mimic, or what called it, has become spends that one's own PP. */
  shareMimicsPP() {
    if (this.tables.gen !== 1 || this.transformed || !this.volatiles.has('mimic')) return;
    for (let i = 0; i < this.baseMoves.length; i++) {
      if (this.moves[i]) this.baseMoves[i].pp = this.moves[i].pp;
    }
  }

  /** Gen 3: it uses Sleep Talk or Snore. Sleep forgets such turns when it leaves. */
  actAsleep() {
    if (this.tables.gen === 3 && this.status === 'slp') this.skippedSleep = this.sleptThrough + 1;
  }

  /** Lunar Dance. */
  restorePP() {
    for (const slot of this.baseMoves) slot.pp = slot.maxpp;
    this.isRestored = true;
  }

  /** Forget what lasts only while it stands in battle. */
  clearVolatile() {
    this.boosts.fill(0);
    this.volatiles.clear();
    this.moves = this.baseMoves;
    this.ability = this.baseAbility;
    this.lostAbility = '';
    this.abilityOf = this;
    this.transformed = false;
    this.lastMove = '';
    this.calledMove = '';
    this.mustRecharge = false;
    this.preparing = '';
    this.stall = 0;
    this.stallLeft = 0;
    this.become(this.base);
    this.touch();
  }

  faint() {
    this.clearVolatile();
    this.hp = 0;
    this.fainted = true;
    this.condition = '0 fnt';
    this.setStatus('');
    this.terastallized = '';
    this.retype();
  }

  /** Note what is known on coming in, so that what is seen now can be taken back. */
  remember() {
    this.strangers = [];
    this.isRestored = false;
    this.before = {
      hp: this.hp,
      maxhp: this.maxhp,
      status: this.status,
      statusCounter: this.statusCounter,
      skippedSleep: this.skippedSleep,
      fainted: this.fainted,
      revealed: this.revealed,
      item: this.item,
      baseAbility: this.baseAbility,
      terastallized: this.terastallized,
      teraType: this.teraType,
      original: this.original,
      base: this.base,
      details: this.details,
      baseMoves: this.baseMoves.map(slot => new MoveSlot(slot.move, slot.pp, slot.maxpp)),
    };
  }

  /** Go back to what was known before it seemed to come in. */
  recall() {
    if (this.before) Object.assign(this, this.before);
    this.before = null;
    this.strangers = [];
    this.condition = '';
    this.active = false;
    this.volatiles = new Map();
    this.boosts = new Int8Array(BOOSTS.length);
    this.clearVolatile();
  }

  /** An opposing Illusion ended: what was seen since it came in was of this one, none of it of the other. */
  takeOver(seeming) {
    const before = seeming.before || {};
    const { isRestored } = seeming;
    const ppOf = slot => (isRestored ? slot.maxpp : slot.pp);
    const known = new Map((before.baseMoves || []).map(slot => [slot.move.id, ppOf(slot)]));
    if (isRestored) this.restorePP();
    const mimicked = seeming.volatiles.get('mimic');
    for (const slot of [...seeming.baseMoves, ...seeming.strangers]) {
      if (slot.move.id === mimicked && !known.has(mimicked)) continue;
      const used = (known.has(slot.move.id) ? known.get(slot.move.id) : slot.maxpp) - slot.pp;
      if (known.has(slot.move.id) && used === 0) continue;
      const own = this.revealMove(slot.move.id);
      if (own) own.pp = Math.max(0, own.pp - used);
    }
    if (mimicked && !seeming.transformed) this.takeMimicked(seeming, mimicked);
    this.hp = seeming.hp;
    this.maxhp = seeming.maxhp;
    if (seeming.item !== before.item) this.item = seeming.item;
    this.terastallized = seeming.terastallized;
    if (seeming.terastallized) this.teraType = seeming.terastallized;
    if (seeming.typesAreLooks) seeming.changedTypes = null;
    this.takePlaceOf(seeming);
  }

  /** Its Mimic became another move under the Illusion. */
  takeMimicked(seeming, id) {
    const index = this.moves.findIndex(slot => slot.move.id === 'mimic');
    if (index < 0) return;
    const move = this.tables.move(id);
    const slot = [...seeming.moves, ...seeming.strangers].find(
      one => one.move === move && !seeming.baseMoves.includes(one)
    );
    const used = slot ? slot.maxpp - slot.pp : 0;
    this.moves = this.baseMoves.slice();
    this.moves[index] = new MoveSlot(move, move.entry.pp - used, move.entry.pp);
  }

  /** It is this one that stands in battle, and what was told of the other since it came in is of this. */
  takePlaceOf(seeming) {
    for (const name of STINT) this[name] = seeming[name];
    this.condition = '';
    if (this.transformed) {
      this.moves = seeming.moves;
      this.species = seeming.species;
      this.ability = seeming.ability;
    }
    this.retype();
    this.touch();
    seeming.recall();
  }
}

module.exports = { Pokemon, MoveSlot, BOOSTS };
