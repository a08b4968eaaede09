'use strict';
// What the rules of a generation say, asked for by name many times a battle and looked up once per dex.

const IDS = new Map();

/** The id of a name: lower case, letters and digits only. Kept, because lines repeat few names. */
function toID(name) {
  let id = IDS.get(name);
  if (id === undefined) {
    id = name.toLowerCase().replace(/[^a-z0-9]+/g, '');
    IDS.set(name, id);
  }
  return id;
}

const EFFECTS = new Map();
const PREFIX = /^(?:move|ability|item|condition): */;

/** The id of an effect as a line names it: 'move: Leech Seed' and 'Leech Seed' are one. */
function effectID(text) {
  let id = EFFECTS.get(text);
  if (id === undefined) {
    id = toID(text.replace(PREFIX, ''));
    EFFECTS.set(text, id);
  }
  return id;
}

/** Types in one object for each list of types, so that equal types, in whatever order, are the same object. */
class TypeSet {
  constructor(names) {
    this.names = names;
    this.code = null; // the encoder's
  }
}

class Species {
  constructor(entry, types) {
    this.id = entry.id;
    this.name = entry.name;
    this.base = entry.baseStats;
    this.baseSpecies = entry.baseSpecies;
    this.isBattleOnly = !!entry.battleOnly;
    this.entry = entry;
    this.types = types;
    this.code = null; // the encoder's
  }
}

class Move {
  constructor(entry, gen) {
    this.id = entry.id;
    this.entry = entry;
    this.type = entry.type;
    // Everybody's moves have three PP Ups (the simulator's default), 40 + 3 * 8 do not fit into gen 2's bits.
    const raised = entry.noPPBoosts || entry.id === 'trumpcard' ? entry.pp : (entry.pp * 8) / 5;
    this.maxpp = Math.max(1, gen <= 2 && entry.pp === 40 ? raised - 3 : raised);
    this.code = null; // the encoder's
  }
}

class Tables {
  constructor(dex) {
    this.dex = dex;
    this.gen = dex.gen;
    this.speciesByName = new Map();
    this.movesByID = new Map();
    this.typeSets = new Map();
  }

  species(name) {
    let species = this.speciesByName.get(name);
    if (!species) {
      const entry = this.dex.species.get(name);
      species = new Species(entry, this.types(entry.types));
      this.speciesByName.set(name, species);
    }
    return species;
  }

  move(id) {
    let move = this.movesByID.get(id);
    if (!move) {
      // As requests name them: hiddenpowerice60, return102, frustrationnull.
      const name = id.replace(/^(hiddenpower[a-z]+?|return|frustration)(?:[0-9]+|null)$/, '$1');
      move = name === id ? new Move(this.dex.moves.get(id), this.gen) : this.move(name);
      this.movesByID.set(id, move);
    }
    return move;
  }

  types(names) {
    const key = names.slice().sort().join('/');
    let types = this.typeSets.get(key);
    if (!types) this.typeSets.set(key, (types = new TypeSet(Array.from(names))));
    return types;
  }
}

const BY_DEX = new WeakMap();

/** The tables of a dex; every battle of a format shares them. */
function tablesOf(dex) {
  let tables = BY_DEX.get(dex);
  if (!tables) BY_DEX.set(dex, (tables = new Tables(dex)));
  return tables;
}

module.exports = { tablesOf, toID, effectID };
