'use strict';
// node play.js PACKAGE ACCELERATE|- [NAME ...]: battles of the plain simulator, accelerated or not, for comparing.
//
// Answers each line of stdin, JSON, with one:
//   {"digest": FORMAT, "first": N, "count": N, "fuzz": bool} -> {"digests": one a battle, "refused", "decisions", "errors"}
//     A digest is a hash of all a battle says: log, requests, input log, its whole state now and then and at the end,
//     the generator's included. Fuzzed battles have teams of any moves, items and abilities of the generation and
//     choices that make no sense.
//   {"cost": FORMAT, "first": N, "count": N} -> {"microseconds": of CPU, "decisions"}

const crypto = require('crypto');
const path = require('path');
const readline = require('readline');

const [, , folder, accelerator, ...only] = process.argv;
const part = name => require(path.join(folder, 'dist', 'sim', name));
const { Battle } = part('battle');
const { Dex } = part('dex');
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

function begin(format, n, isFuzzed, random, send) {
  const battle = new Battle({ formatid: format, seed: seedOf(3 * n + 1), send });
  for (const [i, slot] of ['p1', 'p2'].entries()) {
    const seed = seedOf(3 * n + 2 + i);
    battle.setPlayer(slot, isFuzzed ? { name: slot, team: anyTeam(battle.dex, random) } : { name: slot, seed });
  }
  return battle;
}

/** Play one battle; `after` is called with it after every step. Returns the number of decisions and of refusals. */
function play(battle, random, isFuzzed, after) {
  let decisions = 0;
  let refused = 0;
  while (!battle.ended && battle.turn < 400) {
    for (const side of battle.sides) {
      const { activeRequest } = side;
      if (!activeRequest || activeRequest.wait || battle.ended) continue;
      decisions++;
      for (let tries = 0; !battle.choose(side.id, choose(activeRequest, random, isFuzzed)); tries++) {
        refused++;
        if (tries > 100 && battle.choose(side.id, 'default')) break;
      }
    }
    after(battle, decisions);
  }
  return { decisions, refused };
}

function digest(format, n, isFuzzed, total) {
  const random = integers(n);
  const hash = crypto.createHash('sha256');
  const send = (kind, data) => hash.update(`${kind}\n${Array.isArray(data) ? data.join('\n') : data}\n`);
  try {
    const battle = begin(format, n, isFuzzed, random, send);
    battle.sendUpdates();
    const played = play(battle, random, isFuzzed, (_, decisions) => {
      battle.sendUpdates();
      if (decisions % 32 < 2) hash.update(JSON.stringify(battle.toJSON()));
    });
    hash.update(battle.inputLog.join('\n') + battle.prng.getSeed() + JSON.stringify(battle.toJSON()));
    total.decisions += played.decisions;
    total.refused += played.refused;
    battle.destroy();
  } catch (error) {
    // Some of what no game allows the simulator does not either: then both must stop for the same reason.
    if (!isFuzzed) throw error;
    total.errors++;
    hash.update(error.message);
  }
  total.digests.push(hash.digest('hex'));
}

function cost(format, first, count) {
  const before = process.cpuUsage();
  let decisions = 0;
  for (let n = first; n < first + count; n++) {
    const random = integers(n);
    const battle = begin(format, n, false, random, () => {});
    decisions += play(battle, random, false, () => {
      battle.sentLogPos = battle.log.length;
    }).decisions;
    battle.destroy();
  }
  const { user, system } = process.cpuUsage(before);
  return { microseconds: user + system, decisions };
}

function answer(line) {
  const order = JSON.parse(line);
  if (order.cost) return cost(order.cost, order.first, order.count);
  const total = { digests: [], decisions: 0, refused: 0, errors: 0 };
  for (let n = order.first; n < order.first + order.count; n++) digest(order.digest, n, order.fuzz, total);
  return total;
}

if (!Dex.formats.get('gen1ou').exists) throw new Error(`no simulator in ${folder}`);
readline.createInterface({ input: process.stdin }).on('line', line => process.stdout.write(`${JSON.stringify(answer(line))}\n`));
