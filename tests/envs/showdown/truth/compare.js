'use strict';
// Compare an observation's bytes, read by the layout, with what they have to be; count by kind what differs.

const { Unknowable } = require('./expected');

class Report {
  constructor() {
    this.decisions = 0;
    this.features = 0;
    this.masks = 0;
    this.refused = 0;
    this.wrong = {}; // kind -> number
    this.wrongMasks = {};
    this.unknowable = {}; // reason -> number of features
    this.examples = {};
  }

  excuse(reason, number) {
    this.unknowable[reason] = (this.unknowable[reason] || 0) + number;
  }

  count(counts, kind, where, ...details) {
    counts[kind] = (counts[kind] || 0) + 1;
    const examples = (this.examples[kind] ||= []);
    if (examples.length < 3) examples.push(`${where} ${JSON.stringify(details)}`);
  }
}

/** An entity of an observation: bytes, read where they lie, for there are millions of features and nearly all are right. */
class Seen {
  constructor(fields, bytes, at) {
    this.fields = fields;
    this.bytes = bytes;
    this.at = at;
  }

  number({ offset }, i = 0) {
    return this.bytes[this.at + offset + i];
  }

  /** The name that stands for an id of two bytes. */
  name({ offset, names }) {
    const at = this.at + offset;
    return names.get((this.bytes[at] & 255) | ((this.bytes[at + 1] & 255) << 8));
  }

  /** A feature that has no parts. */
  value(field) {
    return field.names ? this.name(field) : this.number(field);
  }

  get(name) {
    return this.value(this.fields.find(field => field.name === name));
  }

  get isNothing() {
    const isEmpty = field => (field.parts || ['']).every((_, i) => this.number(field, i) === 0);
    return this.fields.every(field => (field.names ? this.name(field) === '' : isEmpty(field)));
  }
}

/** Read entities of bytes as the layout declares them. */
class Reader {
  constructor(layout, tables) {
    this.layout = layout;
    const named = table => new Map([[0, ''], ...Object.entries(tables[table]).map(([name, id]) => [id, name])]);
    const fields = ({ dense, ids }) => [
      ...dense.map(({ name, offset, parts }) => ({ name, offset, parts: parts.length ? parts : null, names: null })),
      ...ids.map(({ name, offset, table }) => ({ name, offset, parts: null, names: named(table) })),
    ];
    const { pokemon, global } = layout.kinds;
    this.fields = { global: fields(global), pokemon: fields(pokemon), move: fields(pokemon.moves) };
  }

  read(bytes) {
    const { groups, kinds } = this.layout;
    const { moves } = kinds.pokemon;
    const { fields } = this;
    const team = group =>
      Array.from({ length: group.count }, (_, i) => {
        const at = group.offset + i * group.size;
        const slots = Array.from(
          { length: moves.count },
          (__, j) => new Seen(fields.move, bytes, at + moves.offset + j * moves.size)
        );
        return { values: new Seen(fields.pokemon, bytes, at), moves: slots };
      });
    return { global: new Seen(fields.global, bytes, 0), own: team(groups[1]), opponent: team(groups[2]) };
  }
}

class Comparison {
  constructor(report, where) {
    this.report = report;
    this.where = where;
  }

  observation(seen, expected) {
    this.report.decisions++;
    this.entity('global', seen.global, expected.global());
    seen.own.forEach((one, i) => this.pokemon('own', one, expected.own(i)));
    seen.opponent.forEach((one, i) => this.pokemon('opponent', one, expected.opponent(i)));
  }

  pokemon(who, seen, wanted) {
    if (!wanted) {
      const isEmpty = [seen.values, ...seen.moves].every(one => one.isNothing);
      this.equal(`${who} beyond the team`, isEmpty, true, '');
      return;
    }
    const place = wanted.values.active ? 'active' : 'bench';
    const name = wanted.values.species;
    this.entity(`${who} ${place}`, seen.values, wanted.values, name);
    if (wanted.moves.slots) this.ownMoves(`${who} ${place} move`, seen.moves, wanted.moves.slots, name);
    else this.seenMoves(`${who} ${place} move`, seen.moves, wanted.moves, name);
  }

  ownMoves(kind, seen, wanted, name) {
    seen.forEach((slot, j) => {
      if (wanted[j]) this.entity(kind, slot, wanted[j], `${name} ${wanted[j].move}`);
      else this.equal(`${kind} beyond its moves`, slot.isNothing, true, name);
    });
  }

  seenMoves(kind, seen, { possible, needed, doubt }, name) {
    const known = seen.filter(slot => slot.get('known'));
    seen.slice(known.length).forEach(slot => this.equal(`${kind} beyond its moves`, slot.isNothing, true, name));
    if (doubt) {
      this.excuse(doubt, known.length * seen[0].fields.length);
      return;
    }
    for (const slot of known) {
      const move = slot.get('move');
      if (possible[move]) this.entity(kind, slot, possible[move], `${name} ${move}`);
      else this.equal(`${kind} that it has not`, move, Object.keys(possible), name);
    }
    const ids = known.map(slot => slot.get('move'));
    for (const id of needed) this.equal(`${kind} that was seen`, ids.includes(id) || ids.length === 4, true, `${name} ${id} ${ids}`);
  }

  entity(kind, seen, wanted, whose = '') {
    for (const field of seen.fields) {
      const { name, parts } = field;
      const right = wanted[name];
      if (right === undefined) throw new Error(`nothing is expected of ${kind} ${name}`);
      if (right instanceof Unknowable) {
        this.excuse(right.reason, 1);
      } else if (parts) {
        for (let i = 0; i < parts.length; i++) {
          this.feature(kind, field, parts[i], seen.number(field, i), right[parts[i]], whose);
        }
      } else {
        this.feature(kind, field, '', seen.value(field), right, whose);
      }
    }
  }

  feature(entity, field, part, seen, wanted, whose) {
    // What is equal needs no words: nearly everything is.
    if (seen === wanted) {
      this.report.features++;
      return;
    }
    const kind = `${entity} ${field.name}${part && ` ${part}`}`;
    if (wanted instanceof Unknowable) {
      this.excuse(wanted.reason, 1);
    } else if (wanted !== null && wanted.oneOf) {
      this.equal(kind, wanted.oneOf.includes(seen) ? seen : { oneOf: wanted.oneOf }, seen, whose);
    } else {
      this.equal(kind, seen, wanted, whose);
    }
  }

  excuse(reason, number) {
    this.report.excuse(reason, number);
  }

  equal(kind, seen, wanted, name) {
    this.report.features++;
    if (seen !== wanted) this.report.count(this.report.wrong, kind, this.where, name, seen, wanted);
  }

  /** The mask against what the simulator takes. */
  mask(request, mask, side, choice) {
    const texts = new Set();
    for (let action = 0; action < 26; action++) if ((mask >> action) & 1) texts.add(choice(request, action));
    const tried = trial(side);
    for (const text of texts) {
      if (!(text in tried)) this.report.count(this.report.wrongMasks, 'not of this generation', this.where, text);
    }
    for (const [text, error] of Object.entries(tried)) {
      this.report.masks++;
      if (texts.has(text) === (error === null)) continue;
      // Only what is hidden may be refused: a trap or a disabled move that the request does not tell of.
      if (texts.has(text) && /trapped|is disabled/.test(error)) this.excuse('a choice that is refused for a hidden reason', 1);
      else if (!texts.has(text) && error === null && isLockHidden(request, text)) {
        this.excuse('a move that may not be chosen, taken because a lock that the request hides makes it another', 1);
      } else if (!texts.has(text) && error === null && isOverlooked(side.active[0], text)) {
        this.excuse('a Z-move that is not offered after Transform into a mega evolution, but would be taken', 1);
      } else this.report.count(this.report.wrongMasks, texts.has(text) ? 'allowed' : 'missing', this.where, text, error, request.active || request.forceSwitch);
    }
  }
}

/** Gen 1: the request shows moves to one who may be bound to another; who is, does that whatever is chosen. */
const isLockHidden = (request, text) => text.startsWith('move ') && !!request.active && !!request.active[0].maybeLocked;

/** The request of one who became a mega evolution by Transform offers no Z-move; the simulator forgets to refuse it. */
const isOverlooked = ({ transformed, species }, text) =>
  text.endsWith(' zmove') && transformed && (species.isMega || species.isPrimal || species.forme === 'Ultra');

// What may be said besides a move, from which generation on.
const EVENTS = { ' mega': 6, ' megax': 6, ' megay': 6, ' ultra': 7, ' zmove': 7, ' dynamax': 8, ' terastallize': 9 };

/** Try every choice without making it: the error of each that is refused, null for the others. */
function trial(side) {
  const results = {};
  const { emitChoiceError, activeRequest } = side;
  const flags = side.active.map(pokemon => pokemon.switchFlag); // choosing whom to revive takes it away
  let error = null;
  side.emitChoiceError = message => {
    error = message;
    return false;
  };
  const texts = [1, 2, 3, 4, 5, 6].map(i => `switch ${i}`);
  if (!activeRequest.forceSwitch) {
    const events = ['', ...Object.keys(EVENTS).filter(event => EVENTS[event] <= side.battle.gen)];
    for (const i of [1, 2, 3, 4]) for (const event of events) texts.push(`move ${i}${event}`);
  }
  for (const text of texts) {
    error = null;
    // One who is bound to a move is bound whatever is said besides: what is said has to be done, too.
    const isTaken = side.choose(text) && (!/^move . ./.test(text) || isSpecial(side.choice.actions[0], side.active[0]));
    results[text] = isTaken ? null : error || (strugglesUnseen(side) ? 'every move is disabled' : 'refused');
    side.active.forEach((pokemon, i) => (pokemon.switchFlag = flags[i]));
    side.clearChoice();
  }
  side.emitChoiceError = emitChoiceError;
  delete side.emitChoiceError;
  return results;
}

/** Whether it struggles though its request shows moves: it is not told which of them Imprison forbids. */
const strugglesUnseen = ({ choice, activeRequest }) =>
  choice.actions.some(action => action.moveid === 'struggle') && activeRequest.active[0].moves[0].id !== 'struggle';

// Who is large already makes max moves whatever is said.
const isSpecial = (action, active) =>
  ['mega', 'megax', 'megay', 'zmove', 'terastallize'].some(event => action[event]) ||
  !!(action.maxMove && !active.volatiles.dynamax);
module.exports = { Report, Reader, Comparison };
