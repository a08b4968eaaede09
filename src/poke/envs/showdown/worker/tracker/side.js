'use strict';
// One player's side: who is in the team, who stands in battle, what lies on the field before it.

const { Pokemon } = require('./pokemon');

/** Split 'Charizard-Mega-X, L84, M, shiny, tera:Fire' into species, the rest, tera type. */
const parsed = new Map();
function parseDetails(text) {
  let details = parsed.get(text);
  if (details) return details;
  const parts = text.split(', ');
  details = { text, species: parts[0], level: 100, tera: '', rest: '' };
  for (const part of parts.slice(1)) {
    if (part.startsWith('tera:')) details.tera = part.slice(5);
    else if (/^L[0-9]+$/.test(part)) details.level = +part.slice(1);
    else details.rest += `, ${part}`;
  }
  details.text = parts.filter(part => !part.startsWith('tera:')).join(', ');
  parsed.set(text, details);
  return details;
}

class Side {
  constructor(id, tables) {
    this.id = id;
    this.tables = tables;
    this.team = []; // own: in the request's order; opposing: in order of appearance
    this.active = null;
    this.conditions = new Map(); // id -> layers
    this.size = 6;
    this.fallen = 0;
    this.speciesClause = false;
    this.hasPreview = false;
  }

  get remaining() {
    return Math.max(0, this.size - this.fallen);
  }

  create(details) {
    const pokemon = new Pokemon(this.tables, this.tables.species(details.species));
    pokemon.details = details.text;
    pokemon.level = details.level;
    this.team.push(pokemon);
    return pokemon;
  }

  /** A Pokemon of team preview; which forms it might have stays open in 'Arceus-*'. */
  preview(text, item) {
    const details = parseDetails(text.replace('-*', ''));
    this.hasPreview = true;
    const pokemon = this.create(details);
    pokemon.openForm = text.includes('-*');
    if (item === 'item') return; // it has some item, unknown which
    if (item === '' && this.tables.gen >= 9) return;
  }

  /**
   * Who comes in under this name and these details, the most likely one where several may: who was last
   * seen just so, else who could be so, else somebody new.
   */
  identify(name, details, condition) {
    let best = null;
    let bestScore = 0;
    for (const pokemon of this.team) {
      const score = this.likeness(pokemon, name, details, condition);
      if (score > bestScore) {
        best = pokemon;
        bestScore = score;
      }
    }
    if (!best && this.hasPreview) return this.model(name, details);
    // Where there are Illusions, one that looks like another is more likely one than a double.
    const isLikely =
      bestScore > 1 ||
      this.tables.gen >= 5 ||
      this.speciesClause ||
      this.team.length >= this.size;
    return isLikely ? best : null;
  }

  /** Of a team that was shown, whom one looks like who is not in it: an Illusion has its own level. */
  model(name, details) {
    const { baseSpecies } = this.tables.species(details.species);
    const looksSo = p =>
      p.openForm ? p.base.baseSpecies === baseSpecies : p.base.name === details.species;
    const isModel = p => looksSo(p) && (p.name === null || p.name === name);
    // One that mega evolves under an Illusion keeps its looks for good, even those of one that has fainted.
    const found = this.team.find(p => !p.fainted && isModel(p)) || this.team.find(isModel);
    // Or it is one whose name was told of an Illusion of its double.
    return found || this.team.find(p => p.details === details.text) || null;
  }

  likeness(pokemon, name, details, condition) {
    const isSame = pokemon.name === name && pokemon.details === details.text;
    // Who stands in battle comes in again only as an Illusion's model, or as an Illusion of itself.
    if (pokemon === this.active && !pokemon.fainted) return isSame && this.tables.gen >= 5 ? 0.25 : 0;
    if (pokemon.name === null) return this.couldBe(pokemon, details) ? 2 : 0;
    if (!isSame) return 0;
    const slash = condition.indexOf('/');
    const hp = slash < 0 ? 0 : parseInt(condition, 10);
    if (pokemon.fainted) return hp > 0 ? 0.5 : 4;
    if (hp === pokemon.hp) return 4;
    // Nobody's health changes on the bench but by Regenerator.
    const canRise =
      this.tables.gen >= 5 && (!pokemon.baseAbility || pokemon.baseAbility === 'regenerator');
    return hp > pokemon.hp && canRise ? 3 : 1;
  }

  couldBe(pokemon, details) {
    if (pokemon.details === details.text) return true;
    if (!pokemon.openForm || pokemon.level !== details.level) return false;
    const species = this.tables.species(details.species);
    return species.baseSpecies === pokemon.species.baseSpecies;
  }

  /** Who comes in, made anew where nobody known can be it. */
  identifyIncoming(name, details, condition) {
    const seen = this.identify(name, details, condition);
    if (this.team.length === 0 || !this.team[0].key) return seen || this.create(details);
    // An own Pokemon: its exact health tells whether it is the one shown or an Illusion of it.
    const maxhp = condition.includes('/')
      ? parseInt(condition.slice(condition.indexOf('/') + 1), 10)
      : 0;
    if (seen && (!maxhp || seen.maxhp === maxhp)) return seen;
    const masked = this.team.find(
      p =>
        p !== this.active &&
        !p.fainted &&
        p.maxhp === maxhp &&
        (p.ability === 'illusion' || p.baseAbility === 'illusion')
    );
    return (
      masked || seen || this.team.find(p => p !== this.active && p.name === name) || this.team[0]
    );
  }

  /** Own side: who comes in and who stood in battle change places, as in the next request. */
  moveToFront(pokemon) {
    const index = this.team.indexOf(pokemon);
    if (index <= 0) return;
    this.team[index] = this.team[0];
    this.team[0] = pokemon;
  }

  /**
   * The Pokemon that a line names: the one in battle ('p1a: X') or one on the bench ('p1: X'), of several of that
   * name one with this status.
   */
  find(ident, status = '') {
    if (ident.charCodeAt(2) !== 58) return this.active; // 'p1a: X', not 'p1: X'
    const name = ident.slice(4);
    let found = null;
    for (const pokemon of this.team) {
      if (pokemon.name !== name || (status !== '' && pokemon.status !== status)) continue;
      if (!pokemon.active) return pokemon;
      found = pokemon;
    }
    return found;
  }
}

module.exports = { Side, parseDetails };
