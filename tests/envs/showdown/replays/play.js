'use strict';
// Battles of the workers between two who choose at random, with what each saw and chose, and with the public log.

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

function look({ encoder }, battle, n, decisions) {
  const seat = battle.seats[n];
  const bytes = new Int8Array(encoder.size);
  encoder.encode(seat.tracker, bytes, 0);
  const { request } = seat;
  if (seat.wasRefused) decisions.pop();
  decisions.push({
    turn: battle.simulated.turn,
    refused: seat.refused,
    isSwitch: !!request.forceSwitch,
    mask: seat.mask,
    bytes,
    action: -1,
    // Who stands at which place, and with which moves, as the bytes have them.
    team: seat.tracker.own.team.map(pokemon => ({
      who: `${pokemon.name}|${pokemon.level}`,
      key: pokemon.entryDetails,
      moves: pokemon.moves.map(slot => slot.move.id),
    })),
    request,
  });
}

/** Play a battle to its end: {log, decisions: of p1, of p2}. */
function play(parts, number) {
  const { Battle, rules, moveNumbers, PRNG } = parts;
  const seeds = k => (number * 8 + k + 1).toString(16).padStart(32, '0');
  const prng = new PRNG(`sodium,${seeds(5)}`);
  const battle = new Battle(
    rules,
    { seed: [0, 1, 2, 3].map(seeds), players: ['asked', 'asked'], teachers: ['', ''], replay: [] },
    moveNumbers
  );
  const decisions = [[], []];
  while (!battle.ended) {
    for (let n = 0; n < 2; n++) {
      if (!battle.awaits(n)) continue;
      if (!battle.seats[n].told) look(parts, battle, n, decisions[n]);
      battle.seats[n].told = true;
      const { mask } = battle.seats[n];
      const legal = Array.from({ length: 26 }, (_, action) => action).filter(action => (mask >> action) & 1);
      const action = legal[prng.random(legal.length)];
      decisions[n][decisions[n].length - 1].action = action;
      battle.answer(n, action);
    }
    battle.move();
    // Refused, and only one choice was left: nobody was asked for that.
    for (let n = 0; n < 2; n++) {
      const last = decisions[n][decisions[n].length - 1];
      const seat = battle.seats[n];
      if (!last || seat.refused === last.refused || (battle.awaits(n) && seat.wasRefused)) continue;
      decisions[n].pop();
      if (decisions[n].length) decisions[n][decisions[n].length - 1].refused = seat.refused;
    }
  }
  return { log: publicLog(battle.simulated.log), decisions, outcomes: IDS.map((_, n) => battle.outcome(n)) };
}

module.exports = { play };
