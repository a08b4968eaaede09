'use strict';
// node play.js PACKAGE ACCELERATE|- [NAME ...]: battles of the plain simulator, accelerated or not, for comparing.
//
// Answers each line of stdin, JSON, with one:
//   {"digest": [FORMAT, ...], "first": N, "count": N, "fuzz": bool, "late": bool} -> {"digests": one a battle, "refused",
//     "decisions", "errors"}
//     A digest is a hash of all a battle says: log, requests, input log, its whole state now and then and at the end,
//     the generator's included. Fuzzed battles have teams of any moves, items and abilities of the generation and
//     choices that make no sense. Battles of several formats begin and go on in turn; late: handlers are added to the
//     format, to one of its rules and to the battle when it has begun.
//   {"teams": FORMAT, "first": N, "count": N} -> {"digests": of a battle's two teams each}
//   {"cost": FORMAT, "first": N, "count": N} -> {"microseconds": of CPU, "decisions"}

const crypto = require('crypto');
const path = require('path');
const readline = require('readline');

const [, , folder, accelerator, ...only] = process.argv;
const part = name => require(path.join(folder, 'dist', 'sim', name));
const { Battle } = part('battle');
if (accelerator !== '-') {
  require(accelerator).accelerate(folder, line => process.stderr.write(`${line}\n`), only.length ? only : undefined);
}
Date.now = () => 0; // a log tells the time

const GIMMICKS = { mega: 'canMegaEvo', ultra: 'canUltraBurst', dynamax: 'canDynamax', terastallize: 'canTerastallize' };
const NONSENSE = ['', 'move', 'move 9', 'move splash', 'switch 1', 'switch 7', 'pass', 'shift', 'undo', 'team 1', 'default'];

/** Integers below n (xorshift32). */
function integers(seed) {
  let s = Math.imul(seed + 1, 2654435761) >>> 0 || 1;
  return n => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) % n;
  };
}

function options(request, random) {
  const team = request.side.pokemon;
  const isDown = entry => entry.condition.endsWith(' fnt');
  const chosen = [];
  if (request.forceSwitch) {
    const isReviving = team.some(entry => entry.reviving);
    team.forEach((entry, i) => {
      if (isDown(entry) === isReviving && (isReviving || !entry.active)) chosen.push(`switch ${i + 1}`);
    });
    return chosen.length ? chosen : ['pass'];
  }
  const active = request.active[0];
  active.moves.forEach((move, i) => {
    if (!move.disabled) chosen.push(`move ${i + 1}`, `move ${i + 1}`);
    for (const [gimmick, key] of Object.entries(GIMMICKS)) {
      if (active[key] && random(3) === 0) chosen.push(`move ${i + 1} ${gimmick}`);
    }
    if (active.canZMove && active.canZMove[i]) chosen.push(`move ${i + 1} zmove`);
  });
  if (!active.trapped) {
    team.forEach((entry, i) => {
      if (!entry.active && !isDown(entry)) chosen.push(`switch ${i + 1}`);
    });
  }
  return chosen.length ? chosen : ['default'];
}

function choose(request, random, isFuzzed) {
  if (isFuzzed && random(12) === 0) return NONSENSE[random(NONSENSE.length)];
  if (request.teamPreview) return 'default';
  const chosen = options(request, random);
  return chosen[random(chosen.length)];
}

/** Anything of a generation, whether it may be had together or not. */
function anyTeam(dex, random) {
  const isThere = entry => entry.exists && entry.gen <= dex.gen && (!entry.isNonstandard || entry.isNonstandard === 'Past');
  const species = dex.species.all().filter(entry => isThere(entry) && !entry.battleOnly);
  const moves = dex.moves.all().filter(move => isThere(move) && !move.isZ && !move.isMax);
  const items = dex.gen > 1 ? dex.items.all().filter(isThere) : [];
  const abilities = dex.gen > 2 ? dex.abilities.all().filter(isThere) : [];
  const types = dex.types.names();
  const pick = list => (list.length ? list[random(list.length)].name : '');
  return Array.from({ length: 6 }, () => ({
    name: '', species: pick(species), item: pick(items), ability: pick(abilities) || 'No Ability',
    moves: Array.from({ length: 4 }, () => pick(moves)), nature: 'Serious', gender: '', level: 50 + random(51),
    evs: { hp: 84, atk: 84, def: 84, spa: 84, spd: 84, spe: 84 }, ivs: { hp: 30, atk: 30, def: 30, spa: 30, spd: 30, spe: 30 },
    teraType: types[random(types.length)],
  }));
}

const seedOf = n => `sodium,${((n * 2654435761) >>> 0).toString(16).padStart(32, '0')}`;

/** One battle that is played step by step. */
class Played {
  constructor(format, n, isFuzzed, send) {
    this.n = n;
    this.isFuzzed = isFuzzed;
    this.random = integers(n);
    this.battle = new Battle({ formatid: format, seed: seedOf(3 * n + 1), send });
    this.decisions = 0;
    this.refused = 0;
  }

  join(seat) {
    const { battle, random, n } = this;
    const name = `p${seat + 1}`;
    const own = this.isFuzzed ? { team: anyTeam(battle.dex, random) } : { seed: seedOf(3 * n + 2 + seat) };
    battle.setPlayer(name, { name, ...own });
  }

  get isOver() {
    return this.battle.ended || this.battle.turn >= 400;
  }

  step() {
    const { battle } = this;
    for (const side of battle.sides) {
      const { activeRequest } = side;
      if (!activeRequest || activeRequest.wait || battle.ended) continue;
      this.decisions++;
      for (let tries = 0; !battle.choose(side.id, choose(activeRequest, this.random, this.isFuzzed)); tries++) {
        this.refused++;
        if (tries > 100 && battle.choose(side.id, 'default')) break;
      }
    }
  }
}

/** Handlers that nobody knew of when the battle began. */
function addLate(battle) {
  const { format } = battle;
  const rule = battle.dex.conditions.getByID(Object.keys(battle.field.pseudoWeather)[0]);
  battle.onEvent('ModifyDamage', format, (damage, source) => {
    battle.add('-message', `by onEvent: ${source}`);
    return damage + 1;
  });
  format.onBasePower = (power, source) => {
    battle.add('-message', `by the format: ${source}`);
    return power + 7;
  };
  rule.onDisableMove = pokemon => {
    battle.add('-message', `by a rule: ${pokemon}`);
  };
  return () => {
    delete format.onBasePower;
    delete rule.onDisableMove;
  };
}

/** The whole state; handlers added by `onEvent` are functions and no part of it. */
function state(battle) {
  const { events } = battle;
  battle.events = null;
  const text = JSON.stringify(battle.toJSON());
  battle.events = events;
  return text;
}

class Digested {
  constructor(format, n, { fuzz, late }, total) {
    this.total = total;
    this.hash = crypto.createHash('sha256');
    this.isFuzzed = fuzz;
    this.isLate = late;
    this.undo = () => {};
    const send = (kind, data) => this.hash.update(`${kind}\n${Array.isArray(data) ? data.join('\n') : data}\n`);
    this.attempt(() => (this.played = new Played(format, n, fuzz, send)));
  }

  /** Some of what no game allows the simulator does not either: then both must stop for the same reason. */
  attempt(operation) {
    try {
      operation();
    } catch (error) {
      if (!this.isFuzzed) throw error;
      this.total.errors++;
      this.hash.update(error.message);
      this.isDone = true;
    }
  }

  step() {
    const { played, hash } = this;
    const { battle } = played;
    if (this.isLate && battle.turn === 3) {
      this.isLate = false;
      this.undo = addLate(battle);
    }
    played.step();
    battle.sendUpdates();
    if (played.decisions % 32 < 2) hash.update(state(battle));
    if (!played.isOver) return;
    hash.update(battle.inputLog.join('\n') + battle.prng.getSeed() + state(battle));
    this.isDone = true;
  }
}

function digest(order) {
  const total = { digests: [], decisions: 0, refused: 0, errors: 0 };
  for (let n = order.first; n < order.first + order.count; n++) {
    const battles = order.digest.map((format, i) => new Digested(format, n + 1e6 * i, order, total));
    const going = () => battles.filter(battle => !battle.isDone);
    for (const seat of [0, 1]) for (const battle of going()) battle.attempt(() => battle.played.join(seat));
    while (going().length) for (const battle of going()) battle.attempt(() => battle.step());
    for (const { undo, played, hash } of battles) {
      undo();
      total.decisions += played.decisions;
      total.refused += played.refused;
      total.digests.push(hash.digest('hex'));
    }
  }
  return total;
}

function teams(format, first, count) {
  const digests = [];
  for (let n = first; n < first + count; n++) {
    const played = new Played(format, n, false, () => {});
    played.join(0);
    played.join(1);
    const text = JSON.stringify(played.battle.sides.map(side => side.team));
    digests.push(crypto.createHash('sha256').update(text).digest('hex'));
  }
  return { digests };
}

function cost(format, first, count) {
  const before = process.cpuUsage();
  let decisions = 0;
  for (let n = first; n < first + count; n++) {
    const played = new Played(format, n, false, () => {});
    played.join(0);
    played.join(1);
    const { battle } = played;
    for (; !played.isOver; battle.sentLogPos = battle.log.length) played.step();
    decisions += played.decisions;
    battle.destroy();
  }
  const { user, system } = process.cpuUsage(before);
  return { microseconds: user + system, decisions };
}

function answer(line) {
  const order = JSON.parse(line);
  if (order.cost) return cost(order.cost, order.first, order.count);
  return order.teams ? teams(order.teams, order.first, order.count) : digest(order);
}

readline.createInterface({ input: process.stdin }).on('line', line => process.stdout.write(`${JSON.stringify(answer(line))}\n`));
