'use strict';
// Battles of the workers between two who choose at random or as a scripted player does, with what each saw and chose, and with the public log.

const IDS = ['p1', 'p2'];

/** The log as everybody is sent it. */
function publicLog(lines) {
  const shown = [];
  for (let i = 0; i < lines.length; i++) {
    if (lines[i].startsWith('|split|')) {
      i += 2;
      if (lines[i]) shown.push(lines[i]);
    } else {
      shown.push(lines[i]);
    }
  }
  return shown.join('\n');
}

function look({ encoder }, battle, n) {
  const seat = battle.seats[n];
  const bytes = new Int8Array(encoder.size);
  encoder.encode(seat.tracker, bytes, 0);
  const { request } = seat;
  return {
    turn: battle.simulated.turn,
    isSwitch: !!request.forceSwitch,
    mask: seat.mask,
    bytes,
    // Who stands at which place, and with which moves, as the bytes have them.
    team: seat.tracker.own.team.map(pokemon => ({
      who: `${pokemon.name}|${pokemon.level}`,
      key: pokemon.entryDetails,
      moves: pokemon.moves.map(slot => slot.move.id),
    })),
    request,
  };
}

/**
 * Play a battle to its end: {log, decisions: of p1, of p2}. Choices of a single legal action are none, nor are refused
 * ones.
 *
 * @param {string} teacher who decides, '' for chance
 */
function play(parts, number, teacher) {
  const { Battle, rules, moveNumbers, PRNG } = parts;
  const seeds = k => (number * 8 + k + 1).toString(16).padStart(32, '0');
  const prng = new PRNG(`sodium,${seeds(5)}`);
  const battle = new Battle(
    rules,
    {
      seed: [0, 1, 2, 3].map(seeds),
      players: ['asked', 'asked'],
      teachers: [teacher, teacher],
      replay: [],
    },
    moveNumbers
  );
  const decisions = [[], []];
  while (!battle.ended) {
    for (let n = 0; n < 2; n++) {
      if (!battle.awaits(n)) continue;
      const seat = battle.seats[n];
      if (seat.wasRefused) decisions[n].pop();
      const legal = Array.from({ length: 26 }, (_, action) => action).filter(action => (seat.mask >> action) & 1);
      const action = teacher ? seat.advice : legal[prng.random(legal.length)];
      if (legal.length > 1) decisions[n].push({ ...look(parts, battle, n), action });
      battle.answer(n, action);
    }
    battle.move();
  }
  return { log: publicLog(battle.simulated.log), decisions, outcomes: IDS.map((_, n) => battle.outcome(n)) };
}

module.exports = { play };
