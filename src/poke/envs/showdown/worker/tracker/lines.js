'use strict';
// The protocol's lines, one handler a kind: (tracker, parts), parts being the line split at '|'.
// Which Pokemon an effect belongs to follows sim/SIM-PROTOCOL.md and what the simulator prints.

const { toID, effectID } = require('./tables');
const { parseDetails } = require('./side');
const { switchIn, unmask } = require('./switching');
const { useMove, cannotMove } = require('./moves');
const effects = require('./effects');
const held = require('./held');
const locks = require('./locks');
const { BOOSTS } = require('./pokemon');

const BOOST_INDEX = new Map(BOOSTS.map((name, i) => [name, i]));
const TERRAINS = ['electricterrain', 'grassyterrain', 'mistyterrain', 'psychicterrain'];
// The hint before a move that was not chosen for itself.
const DESYNC = 'In Gen 1, if both players would see the same';
// Who is confused and stands behind a Substitute has hurt somebody else's or nobody. No other line says so.
const UNHURT = 'In Gen 1, if a Pokemon with a Substitute hurts itself due to confusion';
const LAYERS = { spikes: 3, toxicspikes: 2 };

/** What follows a tag such as '[from] ' in a line, '' where it is not. */
function tag(parts, name) {
  for (let i = parts.length - 1; i > 2 && parts[i].charCodeAt(0) === 91; i--) {
    // '['
    if (parts[i].startsWith(name)) return parts[i].slice(name.length);
  }
  return '';
}

const hasTag = (parts, name) => parts.includes(name);

/** Learn an ability or item from '[from] ability: X|[of] p1a: Y'. */
function learnSource(tracker, parts, pokemon, ofOwns) {
  const from = tag(parts, '[from] ');
  if (!from) return;
  const isAbility = from.startsWith('ability: ');
  if (!isAbility && !from.startsWith('item: ')) return;
  const of = ofOwns ? tag(parts, '[of] ') : '';
  const owner = of ? tracker.at(of) : pokemon;
  if (!owner) return;
  if (isAbility) held.showAbility(owner, effectID(from));
  else held.showItem(owner, effectID(from));
}

function condition(tracker, parts, ofOwns) {
  const pokemon = tracker.at(parts[2]);
  if (!pokemon) return null;
  pokemon.readCondition(parts[3]);
  learnSource(tracker, parts, pokemon, ofOwns);
  return pokemon;
}

const LINES = {
  __proto__: null,

  // ---- the battle
  teamsize(tracker, parts) {
    tracker.sideOf(parts[2]).size = +parts[3];
  },
  rule(tracker, parts) {
    if (parts[2].startsWith('Species Clause')) tracker.opponent.speciesClause = true;
  },
  tier(tracker, parts) {
    if (parts[2].includes('Random Battle')) tracker.opponent.speciesClause = true;
    tracker.isCustomGame = parts[2].endsWith('Custom Game');
  },
  clearpoke(tracker) {
    tracker.opponent.team = [];
  },
  poke(tracker, parts) {
    if (tracker.sideOf(parts[2]) === tracker.opponent) tracker.opponent.preview(parts[3]);
  },
  teampreview(tracker) {
    tracker.hasStarted = true;
  },
  start(tracker) {
    tracker.hasStarted = true;
  },
  turn(tracker, parts) {
    tracker.turn = +parts[2];
    for (const side of [tracker.own, tracker.opponent]) {
      if (!side.active) continue;
      side.active.turns++;
      side.active.touch();
      locks.beginTurn(tracker, side.active);
    }
  },
  upkeep(tracker) {
    tracker.mover = null;
    for (const side of [tracker.own, tracker.opponent])
      if (side.active) effects.endTurn(tracker, side.active);
  },

  // ---- who stands in battle
  switch: switchIn,
  drag: switchIn,
  replace: unmask,
  faint(tracker, parts) {
    const side = tracker.sideOf(parts[2]);
    const pokemon = side.active;
    if (!pokemon || pokemon.fainted) return;
    pokemon.faint();
    side.fallen++;
    effects.partFrom(tracker, side);
  },
  swap() {},
  '-hint': (tracker, parts) => {
    if (parts[2].startsWith(DESYNC)) tracker.isDesync = true;
    const { confused } = tracker;
    if (confused && parts[2].startsWith(UNHURT)) locks.aborted(tracker, confused, 'confusion');
  },

  // ---- moves
  move: useMove,
  cant: cannotMove,
  '-prepare': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    pokemon.preparing = toID(parts[3]);
    pokemon.preparingLeft = 2; // turns; not in gen 1
  },
  '-anim': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) pokemon.preparing = '';
  },
  '-mustrecharge': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    pokemon.mustRecharge = true;
    pokemon.rechargeLeft = 2; // turns: to gen 3 a fall may end the next one before it has recharged
  },
  '-fail': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    learnSource(tracker, parts, pokemon, true);
    locks.fail(tracker, pokemon, parts);
  },
  '-miss': tracker => locks.missed(tracker),
  '-notarget': tracker => locks.missed(tracker),
  '-immune': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    learnSource(tracker, parts, pokemon, true);
    locks.missed(tracker);
  },

  // ---- health and status
  '-damage': (tracker, parts) => {
    const pokemon = condition(tracker, parts, true);
    if (!pokemon) return;
    const from = tag(parts, '[from] ');
    locks.hurt(tracker, pokemon, from);
    if (from === '') held.passBarb(tracker, pokemon);
  },
  '-heal': (tracker, parts) => {
    const pokemon = condition(tracker, parts, false);
    // At the end of a turn Dry Skin heals of nobody's move.
    if (pokemon && tag(parts, '[of] ')) locks.absorbed(tracker, pokemon, effectID(tag(parts, '[from] ')));
    if (pokemon && pokemon.fainted && pokemon.hp > 0) {
      // Revival Blessing
      pokemon.fainted = false;
      tracker.sideOf(parts[2]).fallen--;
    }
    if (pokemon && parts.includes('[from] move: Lunar Dance')) pokemon.restorePP();
  },
  '-sethp': (tracker, parts) => condition(tracker, parts, false),
  '-status': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    pokemon.setStatus(parts[3]);
    if (tracker.gen === 1 && parts[3] === 'slp') pokemon.mustRecharge = false;
    // The orb poisons after this turn's poison has hurt.
    if (parts[3] === 'tox' && parts.includes('[from] item: Toxic Orb')) pokemon.statusCounter = -1;
    learnSource(tracker, parts, pokemon, true);
  },
  '-curestatus': (tracker, parts) => {
    const pokemon = tracker.at(parts[2], parts[3]);
    if (!pokemon) return;
    pokemon.setStatus('');
    learnSource(tracker, parts, pokemon, false);
  },
  '-cureteam': (tracker, parts) => {
    for (const pokemon of tracker.sideOf(parts[2]).team) {
      if (!pokemon.status) continue;
      pokemon.setStatus('');
      pokemon.touch();
    }
  },

  // ---- stages
  '-boost': (tracker, parts) => boost(tracker, parts, 1),
  '-unboost': (tracker, parts) => boost(tracker, parts, -1),
  '-setboost': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) pokemon.boosts[BOOST_INDEX.get(parts[3])] = +parts[4];
  },
  '-swapboost': (tracker, parts) => {
    const one = tracker.at(parts[2]);
    const other = tracker.at(parts[3]);
    if (!one || !other) return;
    const names = parts[4] && !parts[4].startsWith('[') ? parts[4].split(', ') : BOOSTS;
    for (const name of names) {
      const i = BOOST_INDEX.get(name.trim());
      [one.boosts[i], other.boosts[i]] = [other.boosts[i], one.boosts[i]];
    }
  },
  '-copyboost': (tracker, parts) => {
    const one = tracker.at(parts[2]);
    const other = tracker.at(parts[3]);
    if (!one || !other) return;
    one.boosts.set(other.boosts);
    effects.copyFocus(tracker, one, other);
  },
  '-invertboost': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) pokemon.boosts.forEach((n, i, boosts) => (boosts[i] = -n));
  },
  '-clearboost': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) pokemon.boosts.fill(0);
  },
  '-clearpositiveboost': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) pokemon.boosts.forEach((n, i, boosts) => (boosts[i] = Math.min(0, n)));
  },
  '-clearnegativeboost': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) pokemon.boosts.forEach((n, i, boosts) => (boosts[i] = Math.max(0, n)));
  },
  '-clearallboost': tracker => {
    for (const side of [tracker.own, tracker.opponent]) {
      if (!side.active) continue;
      side.active.boosts.fill(0);
      // In gen 4 Haze ends this, too.
      if (tracker.gen === 4) side.active.volatiles.delete('focusenergy');
      side.active.touch();
    }
  },

  // ---- the field
  '-weather': (tracker, parts) => {
    const id = toID(parts[2]);
    tracker.weather = id === 'none' ? '' : id;
    learnSource(tracker, parts, null, true);
  },
  '-fieldstart': (tracker, parts) => {
    const id = effectID(parts[2]);
    if (TERRAINS.includes(id)) for (const terrain of TERRAINS) tracker.field.delete(terrain);
    tracker.field.add(id);
    learnSource(tracker, parts, null, true);
  },
  '-fieldend': (tracker, parts) => {
    tracker.field.delete(effectID(parts[2]));
  },
  '-sidestart': (tracker, parts) => {
    const { conditions } = tracker.sideOf(parts[2]);
    const id = effectID(parts[3]);
    conditions.set(id, Math.min(LAYERS[id] || 1, (conditions.get(id) || 0) + 1));
  },
  '-sideend': (tracker, parts) => {
    tracker.sideOf(parts[2]).conditions.delete(effectID(parts[3]));
    learnSource(tracker, parts, null, true);
  },
  '-swapsideconditions': tracker => {
    const { own, opponent } = tracker;
    [own.conditions, opponent.conditions] = [opponent.conditions, own.conditions];
  },

  // ---- forms, types, items, abilities
  detailschange: (tracker, parts) => {
    const pokemon = tracker.fallen(parts[2]) || tracker.at(parts[2]);
    if (!pokemon) return;
    pokemon.touch();
    const details = parseDetails(parts[3]);
    pokemon.details = details.text;
    const old = pokemon.base;
    pokemon.base = tracker.tables.species(details.species);
    pokemon.become(pokemon.base); // also after Transform
    held.changeForm(pokemon, old);
  },
  '-formechange': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    pokemon.become(tracker.tables.species(parts[3]));
    learnSource(tracker, parts, pokemon, false);
  },
  '-transform': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    const model = tracker.at(parts[3]);
    if (pokemon) learnSource(tracker, parts, pokemon, false);
    if (pokemon && model) effects.transform(tracker, pokemon, model);
  },
  '-terastallize': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    pokemon.teraType = pokemon.terastallized = parts[3];
    pokemon.addedType = '';
    held.keepForm(pokemon);
    pokemon.retype();
  },
  '-item': (tracker, parts) => {
    const of = tag(parts, '[of] ');
    // Gen 5's Frisk names its owner only.
    const pokemon = parts[2] ? tracker.at(parts[2]) : tracker.foeOf(tracker.sideOf(of)).active;
    if (pokemon) pokemon.touch();
    if (pokemon) held.getItem(tracker, pokemon, effectID(parts[3]), tag(parts, '[from] '), of);
  },
  '-enditem': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    held.loseItem(tracker, pokemon, effectID(parts[3]), tag(parts, '[from] '));
  },
  '-ability': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    const id = effectID(parts[3]);
    held.getAbility(tracker, pokemon, id, tag(parts, '[from] '), tag(parts, '[of] '));
    if (parts[4] === 'boost') locks.absorbed(tracker, pokemon, id);
  },
  '-endability': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) held.loseAbility(pokemon, parts[3] ? effectID(parts[3]) : '');
  },
  '-mega': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon && parts[4]) held.showItem(pokemon, effectID(parts[4]));
  },
  '-primal': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon && parts[3]) held.showItem(pokemon, effectID(parts[3]));
  },
  '-burst': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon && parts[4]) held.showItem(pokemon, effectID(parts[4]));
  },

  // ---- other effects
  '-start': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    effects.start(tracker, pokemon, parts, tag(parts, '[of] '));
    learnSource(tracker, parts, pokemon, true);
  },
  '-end': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    effects.end(tracker, pokemon, effectID(parts[3]), hasTag(parts, '[partiallytrapped]'));
    learnSource(tracker, parts, pokemon, false);
  },
  '-activate': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (!pokemon) return;
    effects.activate(tracker, pokemon, parts, tag(parts, '[of] '));
    learnSource(tracker, parts, pokemon, false);
  },
  '-singleturn': (tracker, parts) => {
    const pokemon = tracker.at(parts[2]);
    if (pokemon) effects.singleTurn(tracker, pokemon, effectID(parts[3]));
  },
};

function boost(tracker, parts, sign) {
  const pokemon = tracker.at(parts[2]);
  if (!pokemon) return;
  const i = BOOST_INDEX.get(parts[3]);
  pokemon.boosts[i] = Math.max(-6, Math.min(6, pokemon.boosts[i] + sign * parts[4]));
  learnSource(tracker, parts, pokemon, false);
}

module.exports = { LINES };
