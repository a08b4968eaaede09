'use strict';
// What has been shown of each side's Pokemon so far, kept by the simulator's own objects: who a line is about is
// never guessed from its text. It is told of a line when the simulator writes it.

const toID = text => `${text}`.toLowerCase().replace(/[^a-z0-9]+/g, '');

const RETYPING = new Set(['aerilate', 'galvanize', 'liquidvoice', 'normalize', 'pixilate', 'refrigerate']);

const PLATED = new Map([[493, 'multitype'], [773, 'rkssystem']]); // their types follow from ability and item

/** Whom it looks like. On the bench it still has the looks with which it left. */
const guise = pokemon => (pokemon.isActive && pokemon.illusion) || pokemon;

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
    this.rampage = 0; // how often in a row it has used a move that it is locked into
    this.isSilent = false; // and will not be confused by its end, or is already
    this.called = ''; // what a move of its called last, since then
    // Illusions of it that were seen and have not ended: what was seen then is taken for its own.
    this.doubts = 0;
    this.hidesForm = false; // team preview did not tell its form
    this.item = null; // last shown, null if never
    this.ability = null;
    this.formerAbility = null; // the same, before a lasting form
    this.borrowed = null; // an ability that it got from elsewhere since it came in
    this.hasSwapped = false; // for an ability that no line told, since then
    this.told = { ability: null, item: null }; // the same, told by any line
    this.abilities = new Set(); // all that it was told to have of itself
    this.types = null; // that lines have given it since it came in; null: those of its species
    this.copied = null; // whose hidden types it took over since then
  }

  tell(what, id, isOwn = true) {
    this.told[what] = id;
    if (what === 'ability' && isOwn) this.abilities.add(id);
  }

  /** It has its own ability again. */
  comeBack() {
    const { baseAbility } = this.pokemon;
    this.told.ability = this.abilities.has(baseAbility) ? baseAbility : null;
  }
}

class Ledger {
  watch(battle) {
    this.battle = battle;
    this.sides = new Map(); // side -> entries in order of appearance
    this.previewed = new Map();
    this.seeming = new Map(); // side -> the entry that seems to stand in battle
    this.sleeps = new WeakMap(); // the state of a sleep -> what is known of it
    this.watched = new Set();
    this.paid = new Map(); // Pokemon -> the slot from which PP were taken last
    this.vague = { own: new Map(), foe: new Map() }; // slots whose PP that side does not know any more -> why
    this.isDesync = false; // gen 1: the next move is one that its user did not choose
    this.maximum = new Map(); // own Pokemon -> the maximum HP that was told last
    this.binder = null; // gen 1: whose binding move goes on, as far as lines tell
    this.doubles = new Set(); // those of whom any may be the one that an Illusion looked like
    this.left = new Map(); // Pokemon -> the ability with which it left last
    this.masked = new Map(); // Pokemon -> how often it stood there as somebody else without being found out
    this.formed = new Set(); // those that took a lasting form under an Illusion that has not ended
    let depth = 0; // these call each other: a line is noted once
    for (const name of ['add', 'addMove', 'addSplit']) {
      const original = battle[name];
      battle[name] = (...parts) => {
        // Of a split without a second line only its own side is told.
        if (depth === 0 && name !== 'addSplit') this.note(parts);
        depth++;
        const result = original.apply(battle, parts);
        depth--;
        return result;
      };
    }
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
      const entry = this.seen(who);
      entry.item = entry.told.item = kind === '-item' ? toID(parts[2].name || parts[2]) : 'noitem';
    } else if (kind === '-start' && parts[2] === 'typechange') {
      this.changeTypes(who, parts.slice(3));
    } else if (kind === '-formechange') {
      Object.assign(this.seen(who), { types: null, copied: null });
    } else if (kind === '-transform') {
      this.copyTypes(who, parts[2]);
    } else if (kind === '-activate' && /Skill Swap$/.test(parts[2])) {
      this.swapAbilities([who, this.named(parts[5])], parts.slice(3, 5));
    } else if (kind === '-activate') {
      this.activate(who, parts.slice(2));
    } else if (kind === 'detailschange') {
      this.changeForm(who);
    } else if (kind === 'cant' && parts[2] === 'slp') {
      const sleep = this.sleeps.get(who.statusState);
      if (sleep && who.hasAbility('earlybird')) {
        sleep.isShortened = true;
        sleep.isByBorrowed = who.transformed || who.ability !== who.baseAbility;
      }
    } else if (kind === '-hint') {
      // Counter has a hint of its own about desyncs, after its line.
      if (/^In Gen 1, if both players would see/.test(who)) this.isDesync = true;
    } else if (kind === '-ability') {
      const entry = this.seen(who);
      const id = toID(parts[2].name || parts[2]);
      const from = parts.map(part => `${part}`).find(part => part.startsWith('[from]'));
      const isOwn = !from;
      if (from && from.startsWith('[from] ability: ')) entry.tell('ability', toID(from.slice(16))); // Trace
      entry.tell('ability', id, isOwn);
      entry[isOwn ? 'ability' : 'borrowed'] = id === 'noability' ? '' : id;
      this.showGiver(parts, id);
    }
    for (const part of parts) this.noteCause(`${part}`);
  }

  /** A fall undoes a mega evolution: what was shown of it then was another form's. */
  changeForm(pokemon) {
    const entry = this.seen(pokemon);
    if (pokemon.illusion) this.formed.add(pokemon);
    if (pokemon.fainted) entry.ability = entry.formerAbility;
    else entry.formerAbility = entry.ability;
  }

  /** From gen 5 on it is told which abilities were swapped. */
  swapAbilities(both, abilities) {
    const ids = abilities.map(ability => toID((ability && ability.name) || ability));
    both.forEach((pokemon, i) => {
      const entry = this.seen(pokemon);
      entry.hasSwapped = !ids[i];
      if (!ids[i]) return;
      entry.tell('ability', ids[1 - i], entry.borrowed === null); // that it had
      entry.tell('ability', ids[i], false);
      entry.borrowed = ids[i];
    });
  }

  /** Mummy says which ability it takes away; what was sketched stands where Sketch was. */
  activate(pokemon, [effect, victim, old]) {
    if (effect === 'move: Sketch') for (const name of ['moves', 'stint', 'fresh']) this.seen(pokemon)[name].delete('sketch');
    if (!`${old}`.startsWith('[ability] ')) return;
    const entry = this.seen(victim);
    entry.tell('ability', toID(old.slice(10)), entry.borrowed === null);
    entry.tell('ability', toID(effect.slice(9)), false);
  }

  /** Whoever gave an ability has it. */
  showGiver(parts, id) {
    const giver = this.named(parts.find(part => `${part}`.startsWith('[of] ')));
    if (!giver) return;
    const entry = this.seen(giver);
    const isOwn = giver.ability === giver.baseAbility;
    entry[isOwn ? 'ability' : 'borrowed'] = id;
    entry.tell('ability', id, isOwn && !entry.hasSwapped);
  }

  /** Who stands on the side that an '[of] p1a: Mew' names. */
  named(of) {
    const side = this.battle.sides.find(one => `${of}`.startsWith(`[of] ${one.id}`));
    return side ? side.active[0] : null;
  }

  changeTypes(pokemon, [what, of]) {
    const entry = this.seen(pokemon);
    if (`${what}`.startsWith('[from] move: Reflect Type')) {
      this.copyTypes(pokemon, this.named(of));
    } else {
      [entry.types, entry.copied] = [`${what}`.split('/'), null];
    }
  }

  copyTypes(pokemon, model) {
    const entry = this.seen(pokemon);
    entry.types = this.shownTypes(model);
    entry.copied = model.illusion || this.hidesTypes(model) ? model : null;
  }

  /** The types that the lines have told of. */
  shownTypes(pokemon) {
    const entry = this.known(pokemon);
    return (entry && entry.types) || guise(pokemon).species.types;
  }

  /**
   * Ability and item make an Arceus or a Silvally of its type: the other side is told neither by its name.
   * From gen 7 on a line tells the types at a turn's end, of an Illusion those that it is taken for.
   */
  hidesTypes(pokemon) {
    if (!PLATED.has(pokemon.species.num) || pokemon.transformed) return false;
    if (this.battle.gen >= 7) return true;
    const entry = this.known(pokemon);
    if (!entry) return true;
    const { told } = entry;
    // In gen 4 they are settled as it comes in, by the ability that it has of itself.
    const ability = this.battle.gen === 4 ? pokemon.baseAbility : pokemon.ability;
    const isTold = this.battle.gen === 4 ? entry.abilities.has(ability) : told.ability === ability;
    if (!isTold) return true;
    return PLATED.get(pokemon.species.num) === ability && told.item !== (pokemon.item || 'noitem');
  }

  /** A line says that an ability or item did something: whoever in battle has it is known to have it. */
  noteCause(part) {
    const [, what, name] = /^(?:\[from\] )?(ability|item): (.+)$/.exec(part) || [];
    if (!what) return;
    for (const { active } of this.battle.sides) {
      for (const pokemon of active) if (pokemon && pokemon[what] === toID(name)) this.seen(pokemon).tell(what, toID(name));
    }
  }

  seen(pokemon) {
    return this.entry(guise(pokemon));
  }

  /** What has been shown of it, undefined if it has not come in. */
  known(pokemon) {
    return this.entries(pokemon.side).find(one => one.pokemon === guise(pokemon));
  }

  /** Note how long each sleep begins with, and from which move PP are taken. */
  watchPokemon(pokemon) {
    if (this.watched.has(pokemon)) return;
    this.watched.add(pokemon);
    const { setStatus, deductPP, clearVolatile } = pokemon;
    pokemon.clearVolatile = (...given) => {
      // Baton Pass clears it twice.
      if (!this.left.has(pokemon)) this.left.set(pokemon, pokemon.ability);
      return clearVolatile.apply(pokemon, given);
    };
    pokemon.setStatus = (...given) => {
      const isSet = setStatus.apply(pokemon, given);
      // The time it began with, which gens 2 to 4 do not keep, and as whom it fell asleep.
      const { time } = pokemon.statusState;
      if (isSet && pokemon.status === 'slp') this.sleeps.set(pokemon.statusState, { time, guise: this.seen(pokemon), isSplit: false, isShortened: false });
      return isSet;
    };
    pokemon.deductPP = (move, ...given) => {
      this.paid.set(pokemon, this.battle.gen === 1 ? pokemon.getMoveSlot(pokemon.side.lastSelectedMoveSlot) : pokemon.getMoveData(move));
      return deductPP.call(pokemon, move, ...given);
    };
  }

  comeIn(pokemon) {
    this.watchPokemon(pokemon);
    this.left.delete(pokemon);
    const entry = this.seen(pokemon);
    entry.wasRevealed = entry.revealed;
    entry.revealed = true;
    entry.stint = new Set();
    entry.fresh = new Set();
    entry.lastMove = entry.called = '';
    entry.rampage = 0;
    entry.hasSwapped = false;
    entry.comeBack();
    for (const one of this.entries(pokemon.side)) one.types = one.copied = one.borrowed = null;
    if (pokemon.illusion) {
      // An Illusion shows its own level: of two doubles it may seem to be the other one, or either.
      const shown = pokemon.getFullDetails().shared.split('|')[0].replace(/, tera:.*/, '');
      const { illusion, side } = pokemon;
      const isAlike = one => one.species.name === illusion.species.name && one.gender === illusion.gender;
      const isSure = shown === illusion.details && !side.pokemon.some(one => one !== illusion && one.details === shown);
      const alike = side.pokemon.filter(isAlike);
      if (!isSure && alike.length > 1) for (const one of alike) this.doubles.add(one);
      entry.doubts++;
      this.masked.set(pokemon, (this.masked.get(pokemon) || 0) + 1);
    }
    // Turns of a sleep are counted of whom it was begun as, while nobody else was seen so.
    for (const one of pokemon.side.pokemon) {
      const sleep = this.sleeps.get(one.statusState);
      if (sleep && (sleep.guise === entry) !== (one === pokemon)) sleep.isSplit = true;
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
    entry.tell('ability', 'illusion');
    this.formed.delete(pokemon);
    for (const name of ['lastMove', 'called', 'rampage', 'isSilent']) entry[name] = seeming[name];
    [entry.types, entry.copied] = [seeming.types, seeming.copied];
    const sleep = this.sleeps.get(pokemon.statusState);
    if (sleep && sleep.guise === seeming) sleep.guise = entry;
    this.seeming.set(pokemon.side, entry);
  }

  move(pokemon, [name, told]) {
    const rest = told.slice(told.indexOf('|') + 1 || told.length); // past the target's name, which may be anything
    const entry = this.seen(pokemon);
    const id = toID(name.replace(/^Z-/, '')); // a status move with Z-power
    const move = this.battle.dex.moves.get(id);
    if (move.self && move.self.volatileStatus === 'partialtrappinglock') this.binder = pokemon;
    else if (this.binder === pokemon) this.binder = null;
    const isRampage = !!move.self && move.self.volatileStatus === 'lockedmove';
    const [, from] = /\[from\] ?(?:move: )?([^|]*)/.exec(rest) || [];
    if (this.isDesync) {
      this.desync(pokemon, entry);
      return;
    }
    // A Pursuit that meets who leaves names itself as its cause.
    const isByItem = !!from && from.startsWith('item: '); // which only makes it faster
    const isCalled = !!from && !isByItem && from !== 'lockedmove' && toID(from) !== id;
    if (isCalled && this.battle.gen === 1) this.doubtBeneath(pokemon);
    if (isCalled) this.doubtCaller(pokemon, entry, toID(from));
    // Gen 2 does not say what goes on, and its Safeguard holds the confusion off.
    const goesOn = from === 'lockedmove' || (this.battle.gen === 2 && !from && entry.lastMove === id);
    if (from !== 'ability: Dancer') entry.rampage = isRampage ? (goesOn ? entry.rampage + 1 : 1) : 0;
    entry.isSilent =
      this.battle.gen === 2
        ? !!pokemon.side.getSideCondition('safeguard')
        : 'confusion' in pokemon.volatiles || pokemon.ability === 'owntempo' || this.battle.field.isTerrain('mistyterrain');
    const isContinued = from === 'lockedmove' || (this.battle.gen === 1 && !!from && !isCalled);
    // What was called goes on by itself without having been chosen.
    if (isCalled || (isContinued && entry.called === id)) {
      entry.called = id;
      return;
    }
    const slots = pokemon.moveSlots.filter(slot => slot.id === id || (id === 'hiddenpower' && slot.id.startsWith(id)));
    // Gen 2 does not say of the second turn of a move that it was called.
    if (!slots.length && !move.isZ && !move.isMax && id !== 'struggle') return;
    entry.called = '';
    this.doubtPP(pokemon, entry, move);
    entry.lastMove = id;
    // Which of two slots was used lines do not tell: it may be that of a Mimic.
    for (const slot of slots.length > 1 ? slots : []) {
      for (const who of ['own', 'foe']) this.doubt(pokemon, slot, who, 'PP of a move that Mimic gave to one that has it');
    }
    if (slots.length > 1 || (from && !isByItem) || pokemon.transformed || move.isZ || move.isMax) return;
    if (!entry.moves.has(id)) entry.fresh.add(id);
    entry.stint.add(id);
    entry.moves.add(id);
  }

  /**
   * Gen 1: it uses a move that its player chose before, perhaps for another: a slot pays that has nothing to do with
   * it. Its player knows the order of its moves, the other only what it chose last.
   */
  desync(pokemon, entry) {
    this.isDesync = false;
    const slot = pokemon.getMoveSlot(pokemon.side.lastSelectedMoveSlot);
    if (!entry.lastMove) this.doubt(pokemon, slot, 'foe', 'PP that a move paid for one that was chosen before for another');
  }

  /** Gen 1, a glitch: a move that a copied move calls gives a PP to the slot beneath. The other side knows no order. */
  doubtBeneath(pokemon) {
    const slot = pokemon.baseMoveSlots[pokemon.side.lastSelectedMoveSlot];
    if (pokemon.transformed) this.doubt(pokemon, slot, 'foe', 'PP that a move beneath Transform got from a called move');
  }

  /** What a move of its calls costs it PP under Pressure, be it a move that another one called. */
  doubtCaller(pokemon, entry, id) {
    const slot = pokemon.moveSlots.find(one => one.id === id);
    const foe = pokemon.side.foe.active[0];
    if (!slot || entry.moves.has(id) || !foe || foe.ability !== 'pressure') return;
    this.doubt(pokemon, slot, 'foe', 'PP that a Pressure took of a move before it was known');
  }

  /** Two things take PP that nobody is told of. */
  doubtPP(pokemon, entry, move) {
    const base = this.paid.get(pokemon);
    const foe = pokemon.side.foe.active[0];
    const why = 'PP that a Pressure took which was not shown';
    if (foe && foe.ability === 'pressure') {
      const shown = this.seen(foe);
      if (shown.ability !== 'pressure') this.doubt(pokemon, base, 'own', why);
      // Up to gen 6 requests do not tell a player the ability that one of its own got from the other side.
      const isBorrowed = this.battle.gen <= 6 && foe.ability !== foe.baseAbility;
      if (isBorrowed && shown.borrowed !== 'pressure') this.doubt(pokemon, base, 'foe', why);
    } else if (foe && foe.illusion && this.seen(foe).ability === 'pressure') {
      this.doubt(pokemon, base, 'own', 'PP that the Pressure of one whom an Illusion looks like would have taken');
    }
    if (!move.isZ && !move.isMax) return;
    const own = pokemon.moveSlots.map(slot => slot.id);
    const shown = pokemon.transformed ? own : [...entry.moves];
    const behind = 'PP of the move behind a Z- or max move';
    const fitting = (ids, ability) => ids.filter(one => this.mayBeBehind(one, move, ability)).length;
    if (shown.length < 4 || fitting(shown, entry.told.ability) !== 1) this.doubt(pokemon, base, 'foe', behind);
    if (fitting(own, pokemon.ability) !== 1) this.doubt(pokemon, base, 'own', behind);
  }

  /** Whether a Z- or max move can have been made of a move; some abilities and moves change what type that has. */
  mayBeBehind(id, { id: used, type, isMax }, ability) {
    const base = this.battle.dex.moves.get(id);
    if (used === 'maxguard' || base.category === 'Status') return used === 'maxguard' && base.category === 'Status';
    if (base.type === type) return true;
    if (!isMax) return false; // a Z-crystal goes by the type that the move has of itself
    if (base.onModifyType || id.startsWith('hiddenpower')) return true;
    if (ability === null) return base.type === 'Normal' || type === 'Normal';
    return RETYPING.has(ability);
  }

  /** `who`, its own side or the other one, cannot tell the PP of a slot any more. */
  doubt(pokemon, slot, who, why) {
    for (const one of this.paying(pokemon, slot)) this.vague[who].set(one, why);
  }

  /** Why a side cannot know the PP of a slot, null if it can. */
  whyVague(pokemon, slot, isOwn) {
    const vague = this.vague[isOwn ? 'own' : 'foe'];
    return vague.get(this.paying(pokemon, slot).find(one => vague.has(one))) || null;
  }

  /** Its player's request has told the PP of all its moves. */
  tellPP(pokemon) {
    for (const slot of pokemon.moveSlots) for (const one of this.paying(pokemon, slot)) this.vague.own.delete(one);
  }

  /** The slots of which PP are taken at once: in gen 1 what Mimic has copied spends Mimic's own. */
  paying(pokemon, slot) {
    const isMimics = this.battle.gen === 1 && slot && slot.virtual && !pokemon.transformed;
    return isMimics ? [slot, pokemon.baseMoveSlots[pokemon.moveSlots.indexOf(slot)]] : [slot];
  }
}

module.exports = { Ledger, toID };
