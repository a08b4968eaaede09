'use strict';
// What each feature of an observation has to be, from the simulator's state and what has been shown. It shares no
// code with the tracker. A value that the player cannot know is `unknowable(reason)`; nothing else is excused.

const { toID } = require('./ledger');
const { plain, flags, shortID, typeName, rulesOf, accuracyOf, hitsOf } = require('./rules');

class Unknowable {
  constructor(reason) {
    this.reason = reason;
  }
}
const unknowable = reason => new Unknowable(reason);
const eitherOf = (one, other) => [one, other].find(value => value instanceof Unknowable) || { oneOf: [one, other] };

const plainAbility = id => (id === 'noability' ? '' : id);
const clamp = value => Math.max(-127, Math.min(127, Math.round(value)));
/** A share in percent of which only none is 0 and only all is 100. */
function percent(part, whole) {
  if (part <= 0) return 0;
  return part >= whole ? 100 : Math.max(1, Math.min(99, Math.round((100 * part) / whole)));
}
const SHIELDS = ['protect', 'maxguard', 'kingsshield', 'spikyshield', 'banefulbunker', 'obstruct', 'silktrap', 'burningbulwark'];
const stage = n => (n > 0 ? (2 + n) / 2 : 2 / (2 - n));

const allTypes = new Map();
function typesOf(dex) {
  if (!allTypes.has(dex)) allTypes.set(dex, new Map(dex.types.all().map(type => [type.name.toUpperCase(), type])));
  return allTypes.get(dex);
}

// What an Illusion gives its model that is not the model's: always, and when the model is back on the bench.
const IDENTITY = ['item', 'ability', 'tera_type', 'terastallized'];
const CONDITION = ['fainted', 'hp', 'status', 'status_counter', 'types'];
const FORM = ['species', 'types', 'base_stats'];
const DOUBLES = 'an Illusion of one of two doubles that looks like the other';

/** The expectations at one decision of one player. */
class Expected {
  constructor({ battle, side, ledger, layout, tables, mask, request }) {
    Object.assign(this, { battle, side, ledger, layout, tables, mask, request });
    this.dex = battle.dex;
    this.types = typesOf(battle.dex);
    this.gen = battle.gen;
    this.typesNow = new Map(); // of each Pokemon: asking the simulator for them is slow
    this.foe = side.foe;
    this.ownActive = side.active[0];
    this.foeActive = this.foe.active[0];
    this.foeEntries = ledger.entries(this.foe);
    const { pokemon, global } = layout.kinds;
    this.parts = Object.fromEntries(
      [...global.dense, ...pokemon.dense].filter(f => f.parts.length).map(f => [f.name, f.parts])
    );
    this.moveParts = Object.fromEntries(pokemon.moves.dense.filter(f => f.parts.length).map(f => [f.name, f.parts]));
  }

  /** Whom a Pokemon looks like, by whom it is measured. */
  looks(pokemon) {
    const seeming = pokemon === this.foeActive ? this.ledger.seeming.get(this.foe) : null;
    return seeming ? seeming.pokemon : pokemon;
  }

  global() {
    const { battle, side, foe, parts } = this;
    const active = (this.request.active && this.request.active[0]) || {};
    const onField = new Set([battle.field.terrain, ...Object.keys(battle.field.pseudoWeather)]);
    const layers = who =>
      Object.fromEntries(
        parts.own_side.map(name => {
          const state = who.sideConditions[plain(name)];
          return [name, state ? state.layers || 1 : 0];
        })
      );
    const weather = battle.field.weather === 'snow' ? 'snowscape' : battle.field.weather;
    return {
      turn: Math.min(127, battle.turn),
      force_switch: side.requestState === 'switch' ? 1 : 0,
      trapped: active.trapped ? 1 : 0,
      maybe_trapped: active.maybeTrapped ? 1 : 0,
      can_mega_evolve: active.canMegaEvo || active.canMegaEvoX || active.canMegaEvoY || active.canUltraBurst ? 1 : 0,
      can_z_move: active.canZMove ? 1 : 0,
      can_dynamax: active.canDynamax ? 1 : 0,
      can_tera: active.canTerastallize ? 1 : 0,
      weather: flags(parts.weather, id => id === weather),
      field: flags(parts.field, id => onField.has(id)),
      own_side: layers(side),
      opponent_side: layers(foe),
      own_remaining: side.pokemonLeft,
      opponent_remaining: foe.pokemonLeft,
      opponent_seen: this.numberSeen(),
      physical_ratio: this.logRatio(this.ownActive, this.foeActive, 'atk', 'def'),
      special_ratio: this.logRatio(this.ownActive, this.foeActive, 'spa', 'spd'),
      opponent_physical_ratio: this.logRatio(this.foeActive, this.ownActive, 'atk', 'def'),
      opponent_special_ratio: this.logRatio(this.foeActive, this.ownActive, 'spa', 'spd'),
    };
  }

  numberSeen() {
    const { doubles } = this.ledger;
    if (this.foe.pokemon.some(one => doubles.has(one))) return unknowable(DOUBLES);
    return this.foeEntries.filter(entry => entry.revealed).length;
  }

  logRatio(attacker, defender, attack, defence) {
    if (!attacker || !defender) return 0;
    return clamp(16 * Math.log2(this.ratio(attacker, defender, attack, defence)));
  }

  ratio(attacker, defender, attack, defence) {
    const estimate = (pokemon, stat) =>
      (2 * this.looks(pokemon).species.baseStats[stat] + 36) * stage(pokemon.fainted ? 0 : pokemon.boosts[stat]);
    return estimate(attacker, attack) / estimate(defender, defence);
  }

  own(slot) {
    const pokemon = this.side.pokemon[slot];
    if (!pokemon) return null;
    const isActive = pokemon === this.ownActive; // one that has fainted stands there until it is replaced
    const rival = this.foeActive || null;
    const maximum = this.maximumHP(pokemon);
    const values = {
      ...this.state(pokemon, pokemon, isActive),
      revealed: pokemon.previouslySwitchedIn > 0 ? 1 : 0,
      available: (this.mask >> slot) & 1,
      hp: pokemon.fainted ? 0 : percent(pokemon.hp, pokemon.maxhp),
      stats: Object.fromEntries(
        this.parts.stats.map(name => {
          const value = name === 'hp' ? maximum : pokemon.baseStoredStats[name];
          return [name, value === null ? unknowable('HP of a form that was undone when it fainted') : Math.min(127, value >> 3)];
        })
      ),
      ...this.against(pokemon, rival),
      item: this.gen < 2 ? '' : pokemon.item || 'noitem',
      ability: this.gen < 3 ? '' : this.ownAbility(pokemon),
      tera_type: this.gen < 9 ? '' : typeName(pokemon.teraType),
    };
    if (isActive) this.excuseTypes(pokemon, values);
    return { values, moves: this.ownMoves(pokemon, isActive, rival) };
  }

  ownAbility(pokemon) {
    const ability = plainAbility(pokemon.ability);
    // Up to gen 6 requests do not tell the ability that it got from the other side.
    const entry = this.ledger.known(pokemon);
    const hasSwapped = !!entry && entry.hasSwapped; // perhaps for one of the same name
    const isBorrowed = pokemon.transformed || hasSwapped || pokemon.ability !== pokemon.baseAbility;
    return this.gen <= 6 && isBorrowed ? { oneOf: ['', ability] } : ability;
  }

  /** Maximum HP are told with its health, which one that has fainted has not. */
  maximumHP(pokemon) {
    const { maximum } = this.ledger;
    if (!pokemon.fainted) maximum.set(pokemon, pokemon.maxhp);
    else if (maximum.get(pokemon) !== pokemon.maxhp) return null;
    return pokemon.maxhp;
  }

  opponent(slot) {
    const entry = this.foeEntries[slot];
    if (!entry) return null;
    const seeming = this.ledger.seeming.get(this.foe);
    const isActive = entry === seeming && !!this.foeActive;
    const pokemon = isActive ? this.foeActive : entry.pokemon;
    const wasMasked = this.ledger.masked.get(entry.pokemon) > 0;
    const values = {
      ...this.state(pokemon, entry.pokemon, isActive),
      revealed: entry.revealed ? 1 : 0,
      available: 0,
      hp: this.shownHP(pokemon),
      stats: Object.fromEntries(this.parts.stats.map(name => [name, 0])),
      ...this.against(isActive ? pokemon : null, this.ownActive || null),
      item: this.gen < 2 ? '' : this.known(entry.item, pokemon.item || 'noitem'),
      ability: this.gen < 3 ? '' : this.known(isActive && !pokemon.fainted ? entry.borrowed ?? entry.ability : entry.ability, plainAbility(pokemon.ability)),
      tera_type: this.gen < 9 ? '' : this.known(pokemon.terastallized ? typeName(pokemon.terastallized) : null, typeName(pokemon.teraType)),
    };
    const moves = this.opponentMoves(entry, pokemon, isActive);
    if (wasMasked || entry.doubts > 0) {
      this.excuse(values, moves, isActive ? IDENTITY : [...IDENTITY, ...CONDITION]);
    } else if (!isActive) {
      this.excuseBench(entry, values);
    }
    if (isActive) this.excuseTypes(pokemon, values);
    // After two uses it goes on or ends in confusion; which of them is not told if nothing is confused.
    if (isActive && this.gen >= 2 && entry.rampage === 2 && entry.isSilent && !('lockedmove' in pokemon.volatiles)) {
      values.effects.LOCKED_MOVE = unknowable('a rampage that ended without confusion');
    }
    if (entry.hidesForm && !entry.revealed) {
      for (const name of FORM) values[name] = unknowable('a form that team preview does not tell');
    }
    if (this.ledger.formed.has(entry.pokemon) && !isActive) {
      for (const name of FORM) values[name] = unknowable('a form that was taken under an Illusion');
    }
    if (this.ledger.doubles.has(entry.pokemon)) this.excuse(values, moves, Object.keys(values), DOUBLES);
    return { values, moves };
  }

  /** One of: what has been shown and still is so; anything that is true; nothing. */
  known(shown, truth) {
    return { oneOf: shown !== null && shown === truth ? [truth] : ['', truth] };
  }

  /** What was seen through an Illusion that has not ended is taken for the other's. */
  excuse(values, moves, names, reason = 'seen through an Illusion that has not ended') {
    for (const name of names) values[name] = unknowable(reason);
    moves.doubt = reason;
  }

  /** From gen 7 on each turn's end tells the types. */
  excuseTypes(pokemon, values) {
    if (pokemon.fainted || this.gen >= 7 || !this.hidesTypes(pokemon)) return;
    values.types = unknowable('types of an Arceus or Silvally whose ability or item was not shown');
    values.effects.TYPECHANGE = values.types;
  }

  /** Regenerator heals in silence: how much is seen when it comes back. Natural Cure says so. */
  excuseBench(entry, values) {
    if (this.ledger.left.get(entry.pokemon) === 'regenerator') values.hp = unknowable('healed by Regenerator when it left');
  }

  /** What is true of a Pokemon whoever looks; `seeming` is whom it looks like. */
  state(pokemon, seeming, isActive) {
    const { parts } = this;
    const isUp = isActive && !pokemon.fainted;
    const volatiles = isUp ? pokemon.volatiles : {};
    const { species } = seeming === pokemon ? pokemon : seeming;
    const status = pokemon.fainted ? '' : pokemon.status;
    const types = this.typesOf(pokemon);
    return {
      known: 1,
      active: isActive ? 1 : 0,
      fainted: pokemon.fainted ? 1 : 0,
      status: flags(parts.status, id => id === status),
      status_counter: this.statusCounter(pokemon, isActive),
      boosts: Object.fromEntries(parts.boosts.map(name => [name, isUp ? pokemon.boosts[name] : 0])),
      effects: flags(parts.effects, id => this.hasEffect(pokemon, volatiles, id, isUp)),
      must_recharge: 'mustrecharge' in volatiles ? 1 : 0,
      preparing: this.isPreparing(volatiles) ? 1 : 0,
      first_turn: isUp && pokemon.activeTurns <= 1 ? 1 : 0,
      protect_counter: this.protectCounter(volatiles),
      terastallized: pokemon.terastallized && !pokemon.fainted ? 1 : 0,
      level: Math.min(100, seeming.level),
      base_stats: Object.fromEntries(parts.base_stats.map(name => [name, Math.min(127, species.baseStats[name] >> 1)])),
      types: flags(parts.types, (_, name) => types.includes(name)),
      species: this.speciesName(species),
    };
  }

  /** Lines and requests name these two like their base. */
  speciesName(species) {
    const isUntold = ['greninjabond', 'rockruffdusk'].includes(species.id) || !this.tables.species[species.id];
    return isUntold ? toID(species.baseSpecies) : species.id;
  }

  typesOf(pokemon) {
    if (!this.typesNow.has(pokemon)) this.typesNow.set(pokemon, this.findTypes(pokemon));
    return this.typesNow.get(pokemon);
  }

  findTypes(pokemon) {
    const looks = this.looks(pokemon);
    if (pokemon.fainted) return looks.species.types.map(typeName);
    return [...new Set(this.typesInBattle(pokemon))].map(typeName);
  }

  typesInBattle(pokemon) {
    const isTera = !!pokemon.terastallized && pokemon.terastallized !== 'Stellar'; // which leaves its types as they are
    const isAsSpecies = pokemon.types.join() === pokemon.species.types.join() && !pokemon.terastallized;
    const isMasked = this.looks(pokemon) !== pokemon && isAsSpecies;
    if (!isMasked && (isTera || !this.hidesTypes(pokemon))) return pokemon.getTypes();
    const types = this.ledger.shownTypes(pokemon);
    return pokemon.addedType ? [...types, pokemon.addedType] : types;
  }

  /** Whether its types are hidden from who looks: the other side's own, or what was copied from there. */
  hidesTypes(pokemon) {
    if (pokemon.side === this.foe && this.ledger.hidesTypes(pokemon)) return true;
    const entry = this.ledger.known(pokemon);
    return !!entry && !!entry.copied && entry.copied.side === this.foe;
  }

  statusCounter(pokemon, isActive) {
    if (pokemon.fainted) return 0;
    if (pokemon.status === 'slp') {
      const { time } = pokemon.statusState;
      const sleep = this.ledger.sleeps.get(pokemon.statusState);
      const startTime = pokemon.statusState.startTime ?? sleep.time;
      if (pokemon.side === this.foe && sleep && sleep.isSplit) return unknowable('a sleep in the looks of two, or of one that another had, too');
      // Of its own an Early Bird is known, but for one that it got and, up to gen 6, is not told of.
      if (sleep && sleep.isShortened && (pokemon.side === this.foe || (sleep.isByBorrowed && this.gen <= 6))) {
        return unknowable('sleep that an Early Bird shortens which need not be known');
      }
      return Math.min(15, startTime - time);
    }
    if (pokemon.status !== 'tox' || !isActive) return 0;
    if (this.gen <= 2) return Math.min(15, pokemon.volatiles.residualdmg ? pokemon.volatiles.residualdmg.counter : 0);
    return Math.min(15, pokemon.statusState.stage);
  }

  /** What it prepares stands beside until it is made. */
  isPreparing({ twoturnmove, ...others }) {
    return !!twoturnmove && (this.gen === 1 || twoturnmove.move in others);
  }

  hasEffect(pokemon, volatiles, id, isUp) {
    // It is announced as 3 when it is sung, which the turn's end counts down from 4 to.
    if (id.startsWith('perish')) return !!volatiles.perishsong && Math.min(3, volatiles.perishsong.duration) === +id[6];
    if (id === 'protect') return SHIELDS.some(name => name in volatiles);
    if (id === 'transform') return isUp && pokemon.transformed;
    if (id === 'typechange') {
      if (!isUp || pokemon.terastallized) return false;
      return [...this.typesInBattle(pokemon)].sort().join() !== [...this.looks(pokemon).species.types].sort().join();
    }
    if (id === 'partiallytrapped' && this.gen === 1) return this.isBound(pokemon, volatiles);
    return id in volatiles;
  }

  /** In the first generation the one who binds is locked; who is bound cannot act while that lasts. */
  isBound(pokemon, volatiles) {
    if ('partiallytrapped' in volatiles) return true;
    const { fakepartiallytrapped } = volatiles;
    return !!fakepartiallytrapped && fakepartiallytrapped.counterpart === this.ledger.binder;
  }

  protectCounter(volatiles) {
    if (!volatiles.stall) return 0;
    const { counter } = volatiles.stall;
    let used;
    if (this.gen === 2) used = Math.round(Math.log2(127 / counter)) + 1;
    else used = Math.round(this.gen <= 5 ? Math.log2(counter) : Math.log(counter) / Math.log(3));
    return Math.min(4, used);
  }

  /** HP in percent of what the other side is shown: exact, percent, or pixels of a bar of 48. */
  shownHP(pokemon) {
    const { battle, gen } = this;
    if (pokemon.fainted) return 0;
    const { hp, maxhp } = pokemon;
    if (battle.reportExactHP) return percent(hp, maxhp);
    if (battle.reportPercentages || gen >= 7) {
      const shown = Math.ceil((100 * hp) / maxhp);
      return shown === 100 && hp < maxhp ? 99 : shown;
    }
    return percent(Math.floor((48 * hp) / maxhp) || 1, 48);
  }

  against(pokemon, rival) {
    if (!pokemon || !rival) return { offence: 0, defence: 0, faster: 0, matchup: 0 };
    const best = (types, target) => Math.min(4, Math.max(0, ...types.map(type => this.multiplier(type, target))));
    const offence = best(this.typesOf(pokemon), rival);
    const defence = best(this.typesOf(rival), pokemon);
    const speed = one => this.looks(one).species.baseStats.spe;
    const faster = Math.sign(speed(pokemon) - speed(rival));
    const health = one => {
      if (one.fainted) return 0;
      return one.side === this.side ? one.hp / one.maxhp : this.shownFraction(one);
    };
    const matchup = clamp(24 * (offence - defence + 0.1 * faster + 0.4 * (health(pokemon) - health(rival))));
    return { offence: Math.round(16 * offence), defence: Math.round(16 * defence), faster, matchup };
  }

  shownFraction(pokemon) {
    const { battle, gen } = this;
    if (battle.reportExactHP) return pokemon.hp / pokemon.maxhp;
    if (battle.reportPercentages || gen >= 7) return this.shownHP(pokemon) / 100;
    return (Math.floor((48 * pokemon.hp) / pokemon.maxhp) || 1) / 48;
  }

  /** What a type does to a Pokemon's types as they are seen. */
  multiplier(typeName, target) {
    const attack = this.types.get(typeName);
    let product = 1;
    for (const name of this.typesOf(target)) {
      const defender = this.types.get(name);
      const code = attack && defender ? defender.damageTaken[attack.name] : 0;
      product *= [1, 2, 0.5, 0][code] ?? 1;
    }
    return product;
  }

  ownMoves(pokemon, isActive, rival) {
    const target = isActive ? rival : null;
    const seeming = this.ledger.seeming.get(pokemon.side);
    const lastMove = isActive && seeming && !pokemon.fainted ? seeming.lastMove : '';
    const asked = isActive && this.request.active ? this.request.active[0].moves : null;
    if (asked && asked[0].pp !== undefined) this.ledger.tellPP(pokemon);
    const has = id => pokemon.moveSlots.some(slot => slot.id === id);
    if (asked && asked.length === 1 && !has(asked[0].id)) {
      return { slots: [this.move(asked[0].id, { pokemon, target, pp: 100, available: 1, lastUsed: 0 })] };
    }
    return {
      slots: pokemon.moveSlots.slice(0, 4).map((slot, j) =>
        this.move(slot.id === 'hiddenpower' && pokemon.hpType ? toID(`hiddenpower${pokemon.hpType}`) : slot.id, {
          pokemon,
          target,
          pp: this.pp(pokemon, slot, true),
          available: isActive ? (this.mask >> (6 + j)) & 1 : 0,
          lastUsed: isActive && lastMove === shortID(slot.id) ? 1 : 0,
        })
      ),
    };
  }

  /** In percent; what Transform copied has at most five. */
  pp(pokemon, slot, isOwn) {
    const why = this.ledger.whyVague(pokemon, slot, isOwn);
    if (why) return unknowable(why);
    return percent(slot.pp, pokemon.transformed ? Math.min(5, this.dex.moves.get(slot.id).pp) : slot.maxpp);
  }

  /** Moves known by being seen, in whatever order: by id, with those that have to be known. */
  opponentMoves(entry, pokemon, isActive) {
    const target = isActive ? this.ownActive || null : null;
    const possible = {};
    for (const slot of pokemon.moveSlots) {
      const id = shortID(slot.id);
      const lastUsed = isActive && !pokemon.fainted && entry.lastMove === id ? 1 : 0;
      const pp = this.pp(pokemon, slot, false);
      // Mimic may copy a move that it has already: which of the two slots is which, lines do not tell.
      if (possible[id]) possible[id].pp = eitherOf(possible[id].pp, pp);
      else possible[id] = this.move(id, { pokemon, target, pp, available: 0, lastUsed });
    }
    const needed = pokemon.transformed ? [] : [...entry.moves].filter(id => possible[id]);
    return { possible, needed };
  }

  move(id, { pokemon, target, pp, available, lastUsed }) {
    const found = this.dex.moves.get(id);
    const { exists } = found;
    const rules = rulesOf(this.dex, id, this.moveParts);
    const stab = exists && this.typesOf(pokemon).includes(rules.type) ? 1 : 0;
    const effectiveness = target ? (exists ? this.multiplier(rules.type, target) : 1) : 0;
    let damage = 0;
    if (target && exists && found.category !== 'Status' && found.basePower > 0) {
      const stats = found.category === 'Physical' ? ['atk', 'def'] : ['spa', 'spd'];
      const power = found.basePower * accuracyOf(found) * hitsOf(found.multihit, this.gen);
      damage = power * effectiveness * (stab ? 1.5 : 1) * this.ratio(pokemon, target, ...stats);
    }
    // Inherited, not copied, for there are thousands of moves in a battle.
    return {
      __proto__: rules,
      available,
      last_used: lastUsed,
      pp,
      effectiveness: clamp(16 * effectiveness),
      stab,
      damage: clamp(20 * Math.log2(1 + damage / 16)),
    };
  }
}

module.exports = { Expected, Unknowable };
