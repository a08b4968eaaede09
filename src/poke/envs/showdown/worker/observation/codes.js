'use strict';
// Bytes of what the rules say, computed once for each type, species and move, and where features stand.

const PLAIN = { THREE_QUESTION_MARKS: '???' };
const HEALS = {
  recover: 50,
  softboiled: 50,
  rest: 100,
  moonlight: 50,
  morningsun: 50,
  synthesis: 50,
  shoreup: 50,
  wish: 50,
};

const plainID = name => name.toLowerCase().replace(/_/g, '');
const typeName = name => PLAIN[name] || name[0] + name.slice(1).toLowerCase();
const offsets = fields =>
  Object.freeze(Object.fromEntries(fields.map(field => [field.name, field.offset])));
const parts = (kind, name) => kind.dense.find(feature => feature.name === name).parts;
const indices = names => new Map(names.map((name, i) => [name, i]));

class Codes {
  constructor(layout, tables, dex) {
    const { global, pokemon } = layout.kinds;
    this.dex = dex;
    this.gen = dex.gen;
    this.tables = tables;
    this.G = offsets(global.dense);
    this.P = offsets([...pokemon.dense, ...pokemon.ids]);
    this.M = offsets(pokemon.moves.dense);
    this.moveFields = pokemon.moves;
    this.stats = parts(pokemon, 'stats');
    this.boosts = parts(pokemon, 'boosts');
    this.statuses = indices(parts(pokemon, 'status').map(plainID));
    this.weathers = indices(parts(global, 'weather').map(plainID));
    this.fields = indices(parts(global, 'field').map(plainID));
    this.sides = indices(parts(global, 'own_side').map(plainID));
    this.effectNames = indices(parts(pokemon, 'effects').map(plainID));
    this.perish = [0, 1, 2, 3].map(n => this.effectNames.get(`perish${n}`));
    this.typeNames = parts(pokemon, 'types').map(typeName);
    this.typeIndices = indices(this.typeNames);
    this.moves = new Map();
  }

  write(o, at, bytes) {
    for (let i = 0; i < bytes.length; i++) o[at + i] = bytes[i];
  }

  id(o, at, number) {
    o[at] = number & 255;
    o[at + 1] = number >> 8;
  }

  flagOne(o, at, names, name) {
    for (let i = 0; i < names.size; i++) o[at + i] = 0;
    if (name === '') return;
    const index = names.get(name);
    if (index !== undefined) o[at + index] = 1;
  }

  flagAll(o, at, names, set) {
    for (let i = 0; i < names.size; i++) o[at + i] = 0;
    if (set.size === 0) return;
    for (const name of set) {
      const index = names.get(name);
      if (index !== undefined) o[at + index] = 1;
    }
  }

  layers(o, at, conditions) {
    for (let i = 0; i < this.sides.size; i++) o[at + i] = 0;
    if (conditions.size === 0) return;
    for (const [name, layers] of conditions) {
      const index = this.sides.get(name);
      if (index !== undefined) o[at + index] = layers;
    }
  }

  effects(o, at, pokemon) {
    for (let i = 0; i < this.effectNames.size; i++) o[at + i] = 0;
    if (pokemon.volatiles.size > 0) {
      for (const [id, value] of pokemon.volatiles) {
        const index = id === 'perishsong' ? this.perish[value] : this.effectNames.get(id);
        if (index !== undefined) o[at + index] = 1;
      }
    }
    const isRetyped = pokemon.types !== pokemon.species.types && !pokemon.terastallized;
    o[at + this.effectNames.get('typechange')] = isRetyped ? 1 : 0;
  }

  /** A set of types: its flags, and what each attacking type does to it. */
  types(set) {
    if (set.code) return set.code;
    const flags = new Int8Array(this.typeNames.length);
    for (const name of set.names) {
      const index = this.typeIndices.get(name);
      if (index !== undefined) flags[index] = 1;
    }
    const taken = Float64Array.from(this.typeNames, type => this.multiplier(type, set.names));
    set.code = { flags, taken, offence: new Map() };
    return set.code;
  }

  multiplier(type, defenders) {
    let product = 1;
    for (const defender of defenders) {
      const { damageTaken } = this.dex.types.get(defender);
      const code = damageTaken ? damageTaken[type] : 0;
      product *= code === 1 ? 2 : code === 2 ? 0.5 : code === 3 ? 0 : 1;
    }
    return product;
  }

  /** The best of these types on those, at most 4. Kept for each pair of sets: few pairs meet. */
  offence(types, defenders) {
    const { offence } = this.types(types);
    let best = offence.get(defenders);
    if (best === undefined) {
      const { taken } = this.types(defenders);
      best = 0;
      for (const name of types.names) {
        const index = this.typeIndices.get(name);
        if (index !== undefined) best = Math.max(best, taken[index]);
      }
      offence.set(defenders, (best = Math.min(4, best)));
    }
    return best;
  }

  baseStats(species) {
    return this.speciesCode(species).bytes;
  }

  speciesID(species) {
    return this.speciesCode(species).id;
  }

  speciesCode(species) {
    if (species.code) return species.code;
    const bytes = Int8Array.from(this.stats, stat => Math.min(127, species.base[stat] >> 1));
    const { species: ids } = this.tables;
    species.code = {
      bytes,
      id: ids[species.id] || ids[plainID(species.baseSpecies.replace(/[^A-Za-z0-9]/g, ''))] || 0,
    };
    return species.code;
  }

  abilityID(id) {
    return this.gen < 3 || id === '' || id === 'noability' ? 0 : this.tables.ability[id] || 0;
  }

  itemID(id) {
    return this.gen < 2 || id === '' ? 0 : this.tables.item[id] || 0;
  }

  typeID(name) {
    return name === ''
      ? 0
      : this.tables.type[name === '???' ? 'THREE_QUESTION_MARKS' : name.toUpperCase()] || 0;
  }

  /** A move: the bytes that depend on nothing else, and what its damage is estimated from. */
  move(move) {
    if (move.code) return move.code;
    const { entry } = move;
    // recharge and fight are in no dex.
    const exists = entry.exists;
    const accuracy = !exists || entry.accuracy === true ? 1 : entry.accuracy / 100;
    const hits = this.hits(entry.multihit);
    const bytes = new Int8Array(this.moveFields.ids[this.moveFields.ids.length - 1].offset + 2);
    this.describeMove(bytes, move, accuracy, hits, exists);
    move.code = {
      id: move.id,
      bytes,
      type: this.typeIndices.has(move.type) && exists ? this.typeIndices.get(move.type) : -1,
      power: !exists || entry.category === 'Status' ? 0 : entry.basePower * accuracy * hits,
      isPhysical: entry.category === 'Physical',
    };
    return move.code;
  }

  describeMove(bytes, move, accuracy, hits, exists) {
    const { M } = this;
    const { entry } = move;
    const category = exists ? ['Physical', 'Special', 'Status'].indexOf(entry.category) : 2;
    bytes[M.known] = 1;
    bytes[M.category + category] = 1;
    bytes[M.expected_hits] = Math.min(60, Math.round(10 * hits));
    bytes[M.accuracy] = Math.min(100, Math.round(100 * accuracy));
    bytes[M.pseudo] = !exists || move.id === 'struggle' ? 1 : 0;
    const [moveField, typeField] = this.moveFields.ids;
    this.id(bytes, moveField.offset, this.tables.move[move.id] || 0);
    if (!exists) return;
    this.id(bytes, typeField.offset, this.typeID(move.type));
    bytes[M.base_power] = Math.min(127, Math.ceil(entry.basePower / 2));
    bytes[M.priority] = entry.priority;
    for (const boosts of selfBoosts(entry)) {
      this.boosts.forEach((name, i) => {
        if (boosts[name]) bytes[M.self_boosts + i] = boosts[name];
      });
    }
    const restored = entry.heal ? (100 * entry.heal[0]) / entry.heal[1] : HEALS[move.id] || 0;
    bytes[M.heal] = entry.target === 'self' || entry.target === 'allies' ? Math.round(restored) : 0;
    this.statuses.forEach((i, status) => {
      bytes[M.status + i] = chanceOf(entry, status);
    });
  }

  /** Two to five hits: 3/8, 3/8, 1/8, 1/8 to gen 4, then 35, 35, 15 and 15 percent. */
  hits(multihit) {
    if (!multihit) return 1;
    if (!Array.isArray(multihit)) return multihit;
    if (multihit[0] === 2 && multihit[1] === 5) return this.gen < 5 ? 3 : 3.1;
    return (multihit[0] + multihit[1]) / 2;
  }
}

function selfBoosts(entry) {
  const boosts = [];
  if (entry.target === 'self' && entry.boosts) boosts.push(entry.boosts);
  if (entry.self && entry.self.boosts) boosts.push(entry.self.boosts);
  if (entry.selfBoost && entry.selfBoost.boosts) boosts.push(entry.selfBoost.boosts);
  return boosts;
}

function chanceOf(entry, status) {
  if (entry.status === status) return 100;
  for (const secondary of entry.secondaries || []) {
    if (secondary.status === status) return Math.min(100, secondary.chance || 100);
  }
  return 0;
}

module.exports = { Codes };
