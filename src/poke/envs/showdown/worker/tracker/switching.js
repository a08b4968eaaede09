'use strict';
// Who comes in, what he brings along, and what an Illusion hid.

const { effectID } = require('./tables');
const { parseDetails } = require('./side');
const effects = require('./effects');
const held = require('./held');

/** |switch| and |drag|. */
function switchIn(tracker, parts) {
  tracker.hasStarted = true;
  const side = tracker.sideOf(parts[2]);
  const name = parts[2].slice(5);
  const details = parseDetails(parts[3]);
  const condition = parts[4];
  const from =
    parts.length > 5 && parts[5].startsWith('[from] ') ? effectID(parts[5].slice(7)) : '';
  const leaving = side.active;
  const incoming = side.identifyIncoming(name, details, condition);
  if (leaving) leave(tracker, side, leaving, incoming, from);
  if (side === tracker.own) side.moveToFront(incoming);
  side.active = incoming;
  enter(tracker, incoming, name, details, condition);
}

function leave(tracker, side, leaving, incoming, from) {
  const isPassing = !leaving.fainted && (from === 'batonpass' || from === 'shedtail');
  const legacy = isPassing ? effects.legacyOf(tracker, leaving, from) : null;
  if (!leaving.fainted && !(isPassing && effects.passesHold(tracker)))
    effects.partFrom(tracker, side);
  leaving.active = false;
  leaving.clearVolatile();
  effects.afterLeaving(tracker, leaving);
  if (legacy) effects.inherit(incoming, legacy);
}

function enter(tracker, pokemon, name, details, condition) {
  // Who comes in though it was seen to faint: that was somebody else in its looks.
  if (pokemon.fainted && pokemon.key === '' && pokemon.before) pokemon.recall();
  // The form that its looks show it has, whoever hides behind them.
  if (pokemon.openForm) showForm(tracker, pokemon, details);
  pokemon.remember();
  // What an own Pokemon is its player knows from the request; lines show an Illusion's looks.
  if (pokemon.key === '') {
    pokemon.name = name;
    if (details.level === pokemon.level) pokemon.details = details.text;
    showForm(tracker, pokemon, details);
  }
  pokemon.fainted = false;
  pokemon.active = true;
  pokemon.revealed = true;
  pokemon.turns = 0;
  pokemon.readCondition(condition);
  // One that comes in without a tera type has not terastallized: that was an Illusion of it.
  if (pokemon.key === '') pokemon.terastallized = details.tera;
  if (details.tera) pokemon.teraType = details.tera;
  pokemon.retype();
  effects.afterEntering(tracker, pokemon);
  pokemon.touch();
}

/** An opposing Pokemon is seen as what it is; team preview may have left its form open. */
function showForm(tracker, pokemon, details) {
  const species = tracker.tables.species(details.species);
  if (pokemon.openForm) {
    pokemon.details = pokemon.details.replace(pokemon.base.name, species.name);
    pokemon.original = species;
    pokemon.openForm = false;
  }
  if (species === pokemon.base && species === pokemon.species) return;
  pokemon.base = species;
  pokemon.become(species);
}

/** |replace|: the one in battle is somebody else than it seemed since it came in. */
function unmask(tracker, parts) {
  const side = tracker.sideOf(parts[2]);
  const seeming = side.active;
  if (!seeming || side === tracker.own) return;
  const details = parseDetails(parts[3]);
  const name = parts[2].slice(5);
  const known = side.team.find(
    p => p !== seeming && p.name === name && p.details === details.text && !p.fainted
  );
  const unnamed = known || side.team.find(p => p.name === null && side.couldBe(p, details));
  // In a team that was shown nobody is new: it is one who had a double's name, perhaps the one that it seemed.
  const isIt = p => side.hasPreview && p.details === details.text && !p.fainted;
  const isItself = !unnamed && isIt(seeming);
  const pokemon = unnamed || (isItself ? seeming : side.team.find(isIt) || side.create(details));
  pokemon.name = name;
  if (!isItself) replace(tracker, seeming, pokemon, details);
  side.active = pokemon;
  held.showAbility(pokemon, 'illusion');
}

/** One stands in battle for whom another was taken. */
function replace(tracker, seeming, pokemon, details) {
  showForm(tracker, pokemon, details);
  pokemon.details = details.text;
  pokemon.remember();
  pokemon.takeOver(seeming);
}

module.exports = { switchIn, unmask };
