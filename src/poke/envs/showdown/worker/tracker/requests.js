'use strict';
// What the player's own request tells: the team in its order, exact health, moves and their PP.

const { Pokemon, MoveSlot } = require('./pokemon');
const { parseDetails } = require('./side');

const STATS = ['atk', 'def', 'spa', 'spd', 'spe'];

/** Bring a request and the lines read so far together. */
function settle(tracker, request) {
  tracker.lastRequest = request;
  if (!request.side) return;
  const side = tracker.own;
  const entries = request.side.pokemon;
  arrange(side, entries);
  side.size = entries.length;
  if (!request.teamPreview) standIn(side, entries);
  for (let i = 0; i < entries.length; i++) update(tracker, side.team[i], entries[i]);
  const active = request.active && request.active[0];
  if (active && side.active) readActive(side.active, active);
  if (tracker.copying) {
    const copy = tracker.copying;
    tracker.copying = null;
    if (copy.transformed) copy.copyMoves(side.active);
  }
}

/**
 * Put the own Pokemon into the request's order. The lines' switches have been followed already, so nearly
 * always everybody stands where the request has him; equals are told apart by where they stand.
 */
function arrange(side, entries) {
  const old = side.team;
  if (old.length === entries.length) {
    // Fast path: nobody moved. It saves the search below and must leave what that would find.
    let same = true;
    for (let i = 0; same && i < entries.length; i++) same = isThat(old[i], entries[i]);
    if (same) return;
  }
  const taken = new Set();
  side.team = entries.map((entry, i) => {
    const here = i < old.length && isThat(old[i], entry) ? old[i] : null;
    if (here) taken.add(here);
    return here;
  });
  entries.forEach((entry, i) => {
    if (side.team[i]) return;
    const known = old.find(pokemon => !taken.has(pokemon) && isThat(pokemon, entry));
    side.team[i] = known || enroll(side, entry);
    taken.add(side.team[i]);
  });
}

function isThat(pokemon, entry) {
  const { ident } = pokemon;
  return ident === entry.ident && (pokemon.entryDetails === entry.details || pokemon.key === keyOf(entry));
}

/** What of a request's entry no battle changes: neither forms nor terastallizing. */
function keyOf(entry) {
  const details = parseDetails(entry.details);
  return `${details.level}${details.rest}|${entry.pokeball}|${entry.teraType || ''}`;
}

/** A new own Pokemon; the lines may have told of it already when it leads. */
function enroll(side, entry) {
  const details = parseDetails(entry.details);
  const isUnclaimed = entry.active && side.active && !side.active.key;
  const species = side.tables.species(details.species);
  const pokemon = isUnclaimed ? side.active : new Pokemon(side.tables, species);
  pokemon.key = keyOf(entry);
  pokemon.ident = entry.ident;
  pokemon.name = entry.ident.slice(4);
  pokemon.level = details.level;
  if (pokemon.base !== species) {
    // It leads under an Illusion: until now it was taken for what it seems.
    pokemon.original = pokemon.base = species;
    if (!pokemon.transformed) pokemon.become(species);
  }
  return pokemon;
}

/** Make the Pokemon that the request has in battle the active one: lines show an Illusion's looks. */
function standIn(side, entries) {
  const index = entries.findIndex(entry => entry.active);
  if (index < 0 || !side.active) return;
  const pokemon = side.team[index];
  if (pokemon === side.active) return;
  pokemon.takePlaceOf(side.active);
  side.active = pokemon;
}

function update(tracker, pokemon, entry) {
  if (pokemon.entryDetails !== entry.details) readDetails(pokemon, entry.details);
  if (pokemon.condition !== entry.condition) {
    if (entry.condition.endsWith(' fnt')) {
      if (!pokemon.fainted) pokemon.faint();
    } else {
      pokemon.fainted = false;
    }
    pokemon.readCondition(entry.condition);
    pokemon.touch();
  }
  const item = entry.item || 'noitem';
  if (tracker.gen > 1 && pokemon.item !== item) {
    pokemon.item = item;
    pokemon.retype();
    pokemon.touch();
  }
  readAbility(pokemon, entry);
  if (entry.teraType !== undefined) readTera(pokemon, entry);
  const { stats } = pokemon;
  if (!stats || STATS.some(stat => stats[stat] !== entry.stats[stat])) {
    pokemon.stats = entry.stats;
    pokemon.touch();
  }
  readMoves(pokemon, entry.moves);
}

/** Its species apart from what is undone on leaving the field: mega evolution shows here, Transform not. */
function readDetails(pokemon, text) {
  const details = parseDetails(text);
  pokemon.entryDetails = text;
  pokemon.details = details.text;
  const species = pokemon.tables.species(details.species);
  if (species !== pokemon.base) {
    const isInBase = pokemon.species === pokemon.base;
    pokemon.base = species;
    if (isInBase) pokemon.become(species);
  }
  pokemon.touch();
}

function readAbility(pokemon, entry) {
  const { baseAbility, ability } = entry;
  if (pokemon.baseAbility !== baseAbility) {
    pokemon.baseAbility = baseAbility;
    if (ability === undefined && !pokemon.transformed) pokemon.ability = baseAbility;
    pokemon.retype();
    pokemon.touch();
  }
  if (ability !== undefined && pokemon.ability !== ability) {
    pokemon.ability = ability;
    pokemon.retype();
    pokemon.touch();
  }
}

function readTera(pokemon, entry) {
  if (pokemon.teraType !== entry.teraType || pokemon.terastallized !== entry.terastallized) {
    pokemon.teraType = entry.teraType;
    pokemon.terastallized = entry.terastallized;
    pokemon.retype();
    pokemon.touch();
  }
}

function readMoves(pokemon, ids) {
  const { moves } = pokemon;
  if (moves.length === ids.length) {
    let same = true;
    for (let i = 0; same && i < ids.length; i++) same = moves[i].move === pokemon.tables.move(ids[i]);
    if (same) return;
  }
  const slots = ids.map((id, i) => {
    const move = pokemon.tables.move(id);
    if (moves[i] && moves[i].move === move) return moves[i];
    return pokemon.transformed ? MoveSlot.copied(move) : new MoveSlot(move);
  });
  if (!pokemon.transformed && !pokemon.has('mimic')) pokemon.baseMoves = slots;
  pokemon.moves = slots;
  pokemon.touch();
}

/** What is told of the active one alone: its moves' PP, and whether it has to recharge. */
function readActive(pokemon, active) {
  const { moves } = active;
  const mustRecharge = moves[0].id === 'recharge';
  if (pokemon.mustRecharge !== mustRecharge) {
    pokemon.mustRecharge = mustRecharge;
    pokemon.touch();
  }
  // Who may choose is bound to nothing, whatever the lines let expect.
  const isFree = moves[0].pp !== undefined;
  if (isFree && pokemon.volatiles.delete('lockedmove')) pokemon.touch();
  if (moves.length !== pokemon.moves.length || !isFree) return;
  for (let i = 0; i < moves.length; i++) {
    const slot = pokemon.moves[i];
    const maxpp = pokemon.transformed ? slot.maxpp : moves[i].maxpp;
    if (slot.pp === moves[i].pp && slot.maxpp === maxpp) continue;
    slot.pp = moves[i].pp;
    slot.maxpp = maxpp;
    pokemon.touch();
  }
  pokemon.shareMimicsPP();
}

module.exports = { settle };
