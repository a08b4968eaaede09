'use strict';
// Events: most of them find no handler. The simulator asks every effect on the field for `onX`, `onAllyX`, `onFoeX`,
// `onAnyX` and `onSourceX`, makes these names anew each time and builds lists and objects to hold nothing.

const ON = 1;
const ALLY = 2;
const FOE = 4;
const ANY = 8;
const SOURCE = 16;

const NOT_PREFIXED = new Set(['BeforeTurn', 'Update', 'Weather', 'WeatherChange', 'TerrainChange']);

/** One event of one dex: its names, and which of them each effect has a handler for. */
class Event {
  constructor(dex, name) {
    // A key of an object is the one copy of a string that look-ups need; a made one is hashed and sought each time.
    const intern = text => Object.keys({ [text]: 0 })[0];
    this.dex = dex;
    this.isPrefixed = !NOT_PREFIXED.has(name);
    this.on = intern(`on${name}`);
    this.onAlly = intern(`onAlly${name}`);
    this.onFoe = intern(`onFoe${name}`);
    this.onAny = intern(`onAny${name}`);
    this.onSource = intern(`onSource${name}`);
    this.conditions = new Map(); // id -> bits, likewise the others
    this.abilities = new Map();
    this.items = new Map();
    this.species = new Map();
  }

  /**
   * Which names an effect has a handler for, as bits. Kept by its key for frozen effects alone: those are what the dex
   * keeps for that id for good, and cannot get a handler later.
   */
  ask(table, key, effect) {
    const mask =
      (effect[this.on] !== undefined ? ON : 0) | (effect[this.onAlly] !== undefined ? ALLY : 0) |
      (effect[this.onFoe] !== undefined ? FOE : 0) | (effect[this.onAny] !== undefined ? ANY : 0) |
      (effect[this.onSource] !== undefined ? SOURCE : 0);
    if (Object.isFrozen(effect)) table.set(key, mask);
    return mask;
  }

  ofCondition(id) {
    return this.conditions.get(id) ?? this.ask(this.conditions, id, this.dex.conditions.getByID(id));
  }

  /** The bits of all effects that `findPokemonEventHandlers` would ask. */
  ofPokemon(pokemon) {
    const { ability, item, baseSpecies } = pokemon;
    let mask = this.species.get(baseSpecies) ?? this.ask(this.species, baseSpecies, baseSpecies);
    if (pokemon.status !== '') mask |= this.ofCondition(pokemon.status);
    if (ability !== '') mask |= this.abilities.get(ability) ?? this.ask(this.abilities, ability, pokemon.getAbility());
    if (item !== '') mask |= this.items.get(item) ?? this.ask(this.items, item, pokemon.getItem());
    for (const id in pokemon.volatiles) mask |= this.ofCondition(id);
    for (const id in pokemon.side.slotConditions[pokemon.position]) mask |= this.ofCondition(id);
    return mask;
  }

  /** Whether `findFieldEventHandlers` would find one: the field is asked for `onX` alone. */
  isHandledBy(field) {
    for (const id in field.pseudoWeather) {
      // Most are rules of the format, which nobody freezes: asked each time.
      if (this.dex.conditions.getByID(id)[this.on] !== undefined) return true;
    }
    if (field.weather !== '' && this.ofCondition(field.weather) & ON) return true;
    return field.terrain !== '' && (this.ofCondition(field.terrain) & ON) !== 0;
  }
}

const eventsByDex = new WeakMap();
let lastDex = null;
let events = null;

function eventOf(dex, name) {
  if (dex !== lastDex) {
    lastDex = dex;
    events = eventsByDex.get(dex);
    if (events === undefined) eventsByDex.set(dex, (events = new Map()));
  }
  let event = events.get(name);
  if (event === undefined) events.set(name, (event = new Event(dex, name)));
  return event;
}

// Handlers that `runEvent` has found already and its original is about to look for.
let found = null;

/**
 * Battle.findEventHandlers walks over the same holders in the same order as the original, so that its list is equal,
 * but passes over those none of whose effects has a handler: the original's list for such a holder is empty.
 * Only for a Pokemon as target of a singles battle (one ally, itself, and one foe), and not for SwitchIn,
 * for which `getCallback` takes `onStart` too. Effects are those of the package's frozen tables; rules of the
 * format are not frozen and asked each time, and so are handlers that came by `onEvent`.
 */
function makeFindEventHandlers(original, { Pokemon }, isPlain) {
  return function findEventHandlers(target, eventName, source) {
    if (found !== null) {
      const handlers = found;
      found = null;
      return handlers;
    }
    if (
      !(target instanceof Pokemon) || eventName === 'SwitchIn' || (source && !(source instanceof Pokemon)) ||
      this.gameType !== 'singles' || !isPlain(this)
    ) {
      return original.call(this, target, eventName, source);
    }
    const event = eventOf(this.dex, eventName);
    const { isPrefixed } = event;
    const { side } = target;
    const isActive = target.isActive || (source && source.isActive);
    const handlers = [];
    let ofTarget = 0;
    if (isActive) {
      ofTarget = event.ofPokemon(target);
      if (ofTarget & ON) handlers.push(...this.findPokemonEventHandlers(target, event.on));
      if (isPrefixed) {
        const ally = side.active[0];
        if (ally && ally.hp) {
          const mask = ally === target ? ofTarget : event.ofPokemon(ally);
          if (mask & ALLY) handlers.push(...this.findPokemonEventHandlers(ally, event.onAlly));
          if (mask & ANY) handlers.push(...this.findPokemonEventHandlers(ally, event.onAny));
        }
        const foe = side.foe.active[0];
        if (foe && foe.hp) {
          const mask = event.ofPokemon(foe);
          if (mask & FOE) handlers.push(...this.findPokemonEventHandlers(foe, event.onFoe));
          if (mask & ANY) handlers.push(...this.findPokemonEventHandlers(foe, event.onAny));
        }
      }
    }
    if (source && isPrefixed) {
      const mask = source === target && isActive ? ofTarget : event.ofPokemon(source);
      if (mask & SOURCE) handlers.push(...this.findPokemonEventHandlers(source, event.onSource));
    }
    if (isActive) {
      for (const other of this.sides) {
        let mask = 0;
        for (const id in other.sideConditions) mask |= event.ofCondition(id);
        if (mask === 0) continue;
        if (other === side) {
          if (mask & ON) handlers.push(...this.findSideEventHandlers(other, event.on));
        } else if (isPrefixed && mask & FOE) {
          handlers.push(...this.findSideEventHandlers(other, event.onFoe));
        }
        if (isPrefixed && mask & ANY) handlers.push(...this.findSideEventHandlers(other, event.onAny));
      }
    }
    if (event.isHandledBy(this.field)) {
      handlers.push(...this.findFieldEventHandlers(this.field, event.on));
    }
    if (this.events !== null || this.format[event.on] !== undefined) {
      handlers.push(...this.findBattleEventHandlers(event.on));
    }
    return handlers;
  };
}

/**
 * Battle.runEvent without handlers leaves its value as it is, and nobody sees the event's object: what is left of the
 * original is the rounding of a natural number with modifier 1 (of an array of targets: nothing). With handlers
 * the original runs, and gets those that were found instead of finding them again.
 */
function makeRunEvent(original, { Pokemon }, isPlain) {
  return function runEvent(eventid, target, source, sourceEffect, relayVar, onEffect, fastExit) {
    const isOwn = onEffect && !(sourceEffect && sourceEffect[eventOf(this.dex, eventid).on] === undefined);
    if (!isOwn && this.eventDepth < 8 && isPlain(this)) {
      const holder = target || this;
      const handlers = this.findEventHandlers(holder, eventid, source instanceof Pokemon ? source : null);
      if (handlers.length === 0) {
        if (Array.isArray(holder)) return Array.isArray(relayVar) ? relayVar : holder.map(() => true);
        if (relayVar === undefined || relayVar === null) return true;
        if (typeof relayVar !== 'number' || relayVar !== Math.abs(Math.floor(relayVar))) return relayVar;
        return this.modify(relayVar, 1);
      }
      found = handlers;
    }
    return original.call(this, eventid, target, source, sourceEffect, relayVar, onEffect, fastExit);
  };
}

/**
 * Battle.singleEvent of an effect without such a handler gives the value back: all the original's checks before that
 * do the same, tell only a debug log or throw on a stack or log that is too long.
 */
function makeSingleEvent(original, simulator, isPlain) {
  return function singleEvent(eventid, effect, state, target, source, sourceEffect, relayVar, customCallback) {
    if (
      !customCallback && effect[eventOf(this.dex, eventid).on] === undefined && this.eventDepth < 8 && !this.debugMode &&
      this.log.length - this.sentLogPos <= 1000 && isPlain(this)
    ) {
      return relayVar === undefined ? true : relayVar;
    }
    return original.call(this, eventid, effect, state, target, source, sourceEffect, relayVar, customCallback);
  };
}

module.exports = [
  {
    name: 'Battle.findEventHandlers',
    reads: [
      'Battle.findPokemonEventHandlers', 'Battle.findSideEventHandlers', 'Battle.findFieldEventHandlers',
      'Battle.findBattleEventHandlers', 'Battle.getCallback', 'Battle.runEvent', 'DexConditions.getByID',
      'DexAbilities.getByID', 'DexItems.getByID',
      'Pokemon.getStatus', 'Pokemon.getAbility', 'Pokemon.getItem', 'Pokemon.alliesAndSelf', 'Pokemon.foes',
      'Side.allies', 'Side.foes', 'Side.activeTeam', 'Field.getWeather', 'Field.getTerrain',
    ],
    make: makeFindEventHandlers,
  },
  {
    name: 'Battle.runEvent',
    reads: ['Battle.findEventHandlers', 'Battle.modify', 'Battle.speedSort'],
    make: makeRunEvent,
  },
  {
    name: 'Battle.singleEvent',
    reads: [
      'Battle.suppressingAbility', 'Pokemon.ignoringItem', 'Pokemon.ignoringAbility', 'Pokemon.hasItem',
      'Pokemon.hasAbility', 'Field.suppressingWeather', 'Battle.debug',
    ],
    make: makeSingleEvent,
  },
];
