'use strict';
// What a Pokemon has: its ability and item, as they are shown, got, lost and passed around.

const { toID, effectID } = require('./tables');

/** It has shown an ability that is its own, unless it has another one for now. */
function showAbility(pokemon, id) {
  // Which of the two that are called As One tells the species; of another one it stays unknown.
  if (id === 'asone' && pokemon.species.baseSpecies === 'Calyrex')
    id = toID(pokemon.species.entry.abilities['0']);
  // As One speaks with the voices of its two halves.
  if (pokemon.ability.startsWith('asone') && ['unnerve', 'chillingneigh', 'grimneigh'].includes(id))
    return;
  if (pokemon.ability === id) return;
  // What Mummy has taken away still names itself as the cause of what it did.
  if (pokemon.lostAbility === id) return;
  if (pokemon.ability === pokemon.baseAbility && pokemon.abilityOf === pokemon) pokemon.baseAbility = id;
  pokemon.ability = id;
  pokemon.retype();
  pokemon.touch();
}

function showItem(pokemon, id) {
  if (pokemon.tables.dex.items.getByID(id).isBerry) return; // eaten when it acts, perhaps another's
  // An item that has just been used up still names itself as the cause of what it did.
  if (pokemon.item === 'noitem' && pokemon.lostItem === id) return;
  if (pokemon.key === '') pokemon.item = id;
  pokemon.retype();
  pokemon.touch();
}

/** |-ability|: announced, or got from elsewhere. */
function getAbility(tracker, pokemon, id, from, of) {
  if (!from) {
    showAbility(pokemon, id);
    return;
  }
  if (from.startsWith('ability: ')) showAbility(pokemon, effectID(from)); // Trace
  const giver = of ? tracker.at(of) : null;
  if (giver && giver !== pokemon) showAbility(giver, id);
  pokemon.ability = id;
}

/** A lasting form brings its own ability, but for what only breaks a disguise. */
function changeForm(pokemon, old) {
  if (pokemon.fainted) {
    pokemon.ability = pokemon.baseAbility = pokemon.formerAbility; // the form is undone
    return;
  }
  if (['disguise', 'iceface'].includes(pokemon.ability)) return;
  if (old === pokemon.original) pokemon.formerAbility = pokemon.baseAbility;
  const id = toID(pokemon.base.entry.abilities['0']);
  pokemon.ability = pokemon.baseAbility = id;
}

/** Morpeko stays for good in the form in which it terastallizes; no line says so. */
function keepForm(pokemon) {
  const { base, species } = pokemon;
  if (species === base || species.baseSpecies !== 'Morpeko' || pokemon.transformed) return;
  pokemon.details = pokemon.details.replace(base.name, species.name);
  pokemon.base = species;
  pokemon.formerAbility = pokemon.baseAbility; // its fall undoes the form
}

function loseAbility(pokemon, id) {
  if (id) showAbility(pokemon, id);
  pokemon.volatiles.set('gastroacid', true);
}

// What takes an item from one for another.
const TAKING = ['thief', 'covet', 'pickpocket', 'magician', 'bestow', 'symbiosis'];

/** |-item|: shown, or got from elsewhere. */
function getItem(tracker, pokemon, id, from, of) {
  const giver = of ? tracker.at(of) : null;
  const cause = from ? effectID(from) : '';
  const isTaken = TAKING.includes(cause);
  // Who is given a thing that is of use at once has used it up before a line tells of the gift.
  const wasGiven = isTaken || cause === 'trick' || cause === 'switcheroo';
  const isUsed = wasGiven && pokemon.lostItem === id && pokemon.usedAt === tracker.moves;
  if (pokemon.key === '') pokemon.item = isUsed ? 'noitem' : id;
  if (from.startsWith('ability: ')) {
    const owner = cause === 'frisk' || cause === 'symbiosis' ? giver : pokemon;
    if (owner) showAbility(owner, cause);
  }
  if (isTaken && giver && giver !== pokemon && giver.key === '') giver.item = 'noitem';
}

/** It has used an item up, or lost it to somebody's move or ability. */
function loseItem(tracker, pokemon, id, from) {
  pokemon.lostItem = id;
  if (from === '') pokemon.usedAt = tracker.moves;
  if (pokemon.key === '') pokemon.item = 'noitem';
}

/** Whom the mover's move has hit: a Sticky Barb changes hands without a line, to who touches it with empty ones. */
function passBarb({ mover, tables }, pokemon) {
  if (pokemon.item !== 'stickybarb' || !mover || mover === pokemon || mover.item !== 'noitem') return;
  const { flags } = tables.move(mover.calledMove || mover.lastMove).entry;
  const { ability } = pokemon;
  if (!flags.contact || mover.ability === 'longreach' || ability === 'stickyhold') return;
  if (tables.gen === 4 && ability === 'multitype') return; // there it keeps whatever it holds
  if (pokemon.key === '') pokemon.item = 'noitem';
  if (mover.key === '') mover.item = 'stickybarb';
  mover.touch();
}

/** How much more a move costs: one for a Pressure that is known. */
function pressure(tracker, pokemon, move, reachesNoFoe) {
  const foe = tracker.rivalOf(pokemon);
  if (!foe || foe.fainted || foe.ability !== 'pressure' || foe.has('gastroacid')) return 0;
  const hasGas = one => one.ability === 'neutralizinggas' && !one.has('gastroacid');
  if (hasGas(pokemon) || hasGas(foe)) return 0;
  let { target } = move.entry;
  if (move.id === 'curse' && !pokemon.types.names.includes('Ghost'))
    target = move.entry.nonGhostTarget;
  if (reachesNoFoe.has(target) && !move.entry.flags.mustpressure) return 0;
  return 1;
}

module.exports = {
  showAbility,
  changeForm,
  keepForm,
  showItem,
  getAbility,
  loseAbility,
  getItem,
  loseItem,
  passBarb,
  pressure,
};
