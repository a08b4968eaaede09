'use strict';
// One battle of the real simulator between two seats.

const { legal, choice, refuse, moveOf } = require('./request');
const { Tracker } = require('./tracker');
const opponents = require('./opponents');

const IDS = ['p1', 'p2'];
const ASKED = 'asked';
const SPLIT = '|split|p';

/** In a tracker's place for who does not look: saves the reading of all lines. */
const BLIND = { read() {}, request() {}, settle() {} };

/** Seeded integers below n (sfc32), a generator for each scripted seat: neither moves the other's. */
function integers(seed, seat) {
  let a = parseInt(seed.slice(0, 8), 16) | 0;
  let b = parseInt(seed.slice(8, 16), 16) | 0;
  let c = parseInt(seed.slice(16, 24), 16) | 0;
  let d = 1 + seat;
  function random(n) {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return Math.floor(((t >>> 0) / 2 ** 32) * n);
  }
  for (let i = 0; i < 12; i++) random(1);
  return random;
}

/** The only legal action of a mask, -1 where there are several or none. */
function only(mask) {
  return mask && !(mask & (mask - 1)) ? 31 - Math.clz32(mask) : -1;
}

class Seat {
  constructor(name, teacher, tracker, random, replay) {
    this.name = name;
    this.teacher = teacher; // the scripted player who advises it, '' for nobody
    this.advice = -1; // what that one would choose now
    this.tracker = tracker;
    this.random = random;
    this.replay = replay; // actions to be taken before anyone is asked
    this.request = null;
    this.mask = 0;
    this.decides = false; // it has to choose, and has not
    this.action = -1; // what it has chosen, until the simulator has taken it
    this.asked = false; // it was asked for this decision: the action is the player's own
    this.told = false; // and it has been told so
    this.wasRefused = false;
    this.refused = 0;
    this.did = 0; // its choice now, as a class: see `classOf`
    this.theirs = 0; // the other's choice at this seat's last own decision
  }
}

/**
 * A battle begins when it is made and is moved by `answer` and `move`.
 *
 * @param {object} rules of formats.js
 * @param {{seed: string[], players: string[], teachers: string[], replay: number[][]}} start
 * @param {Object<string, number>} moveNumbers of the vocabulary, by id
 */
class Battle {
  constructor(rules, start, moveNumbers) {
    const { format, dex, simulator } = rules;
    const [seed, first, second, scripted] = start.seed;
    this.moveNumbers = moveNumbers;
    this.simulated = new simulator.Battle({
      formatid: format.id,
      format,
      seed: `sodium,${seed}`,
      send: (kind, text) => this.hearAside(kind, text),
    });
    this.seats = IDS.map((id, n) => {
      const replay = start.replay.filter(([seat]) => seat === n).map(([, action]) => action);
      const tracker = opponents.blind.has(start.players[n]) ? BLIND : new Tracker(dex, id);
      return new Seat(start.players[n], start.teachers[n], tracker, integers(scripted, n), replay);
    });
    this.read = 0;
    // Each player has a seed of its own: with the battle's, teams would depend on who is made first.
    for (const [n, teamSeed] of [first, second].entries()) {
      this.simulated.setPlayer(IDS[n], { name: IDS[n], ...rules.team(`sodium,${teamSeed}`) });
    }
    this.hear();
    this.move();
  }

  get ended() {
    return this.simulated.ended;
  }

  /** A player's own choice; it must be asked for one. */
  answer(n, action) {
    const seat = this.seats[n];
    if (!this.awaits(n)) throw new Error(`${IDS[n]} was not asked`);
    if (!((seat.mask >> action) & 1)) throw new Error(`${IDS[n]} may not choose ${action}`);
    seat.action = action;
  }

  /** Whether a player has been asked and has not answered. */
  awaits(n) {
    const seat = this.seats[n];
    return seat.decides && seat.asked && seat.action < 0;
  }

  /** Go on until a player has to answer or the battle has ended. */
  move() {
    while (!this.ended) {
      this.decide(0);
      this.decide(1);
      if (this.awaits(0) || this.awaits(1)) return;
      this.commit();
    }
  }

  /** Make the choices that are no player's: forced ones, scripted ones, replayed ones. */
  decide(n) {
    const seat = this.seats[n];
    if (!seat.decides || seat.asked || seat.action >= 0 || seat.request.teamPreview) return;
    seat.mask = legal(seat.request);
    if (!seat.mask) {
      throw new Error(`${IDS[n]} has no legal choice: ${JSON.stringify(seat.request)}`);
    }
    // After a refusal the same decision is asked for again even where one choice is left: whoever asked for
    // the refused one takes it back.
    seat.action = seat.wasRefused ? -1 : only(seat.mask);
    if (seat.action >= 0) return;
    const scripted = this.scripted(seat);
    if (seat.name !== ASKED) {
      seat.action = scripted;
      return;
    }
    seat.advice = scripted;
    seat.asked = true;
    seat.told = false;
    if (seat.replay.length) this.answer(n, seat.replay.shift());
  }

  /** What a seat's scripted player or teacher does, -1 if it has none. */
  scripted({ name, teacher, tracker, request, mask, random }) {
    const player = name === ASKED ? teacher : name;
    if (!player) return -1;
    tracker.settle();
    return opponents.choose(player, tracker, request, mask, random);
  }

  /**
   * Hand all choices to the simulator, one a side: it moves on with the last of them, and a second one of
   * the same side would already answer the next request. A refused one leaves its seat to decide again.
   */
  commit() {
    const { seats, simulated } = this;
    const texts = seats.map(seat => {
      if (!seat.decides) return '';
      return seat.request.teamPreview ? 'default' : choice(seat.request, seat.action);
    });
    let moved = true;
    for (const [n, seat] of seats.entries()) {
      if (!seat.decides) continue;
      const { action } = seat;
      seat.did = this.classOf(seat);
      seat.action = -1;
      seat.wasRefused = false;
      if (simulated.choose(IDS[n], texts[n])) {
        seat.decides = false;
        continue;
      }
      moved = false;
      this.refuse(seat, action, simulated.sides[n].choice.error);
    }
    if (!moved) return;
    for (const [n, seat] of seats.entries()) {
      if (seat.asked) seat.theirs = seats[1 - n].did;
    }
    for (const seat of seats) {
      seat.asked = false;
      seat.did = 0;
    }
    this.hear();
  }

  refuse(seat, action, error) {
    if (seat.request.teamPreview) throw new Error(`team preview: ${error}`);
    seat.wasRefused = true;
    seat.asked = false;
    seat.refused++;
    // The simulator has changed the request in place where the refusal tells something new.
    seat.request = refuse(seat.request, action, error);
    seat.tracker.request(seat.request);
  }

  /** What a seat does, as a class: 0 nothing, 1 a switch, 1 + the move's number in the vocabulary (from 1 on). */
  classOf(seat) {
    if (seat.request.teamPreview) return 0;
    const move = moveOf(seat.request, seat.action);
    return move ? 1 + (this.moveNumbers[move] || 0) : 1;
  }

  /**
   * Give each player the lines of its own channel and its request, as `sendUpdates()` would: of a split the
   * first line is its owner's, the second everybody else's. Saves the joining and splitting of all lines and
   * JSON there and back for the requests; equal to what a server sends (a test compares them).
   */
  hear() {
    const { log, sides } = this.simulated;
    const [first, second] = this.seats.map(seat => seat.tracker);
    let i = this.read;
    for (; i < log.length; i++) {
      const line = log[i];
      if (line.startsWith(SPLIT)) {
        const isFirst = line.charCodeAt(SPLIT.length) === 49;
        const secret = log[++i];
        const shared = log[++i];
        const [toFirst, toSecond] = isFirst ? [secret, shared] : [shared, secret];
        if (toFirst) first.read(toFirst);
        if (toSecond) second.read(toSecond);
      } else if (line) {
        first.read(line);
        second.read(line);
      }
    }
    this.read = this.simulated.sentLogPos = i;
    for (const [n, seat] of this.seats.entries()) {
      seat.request = sides[n].activeRequest;
      seat.decides = !!seat.request && !seat.request.wait;
      if (seat.request) seat.tracker.request(seat.request);
    }
  }

  /** What the simulator tells a player about its choice: a line of its channel, unless requests say the same. */
  hearAside(kind, text) {
    if (kind !== 'sideupdate') return;
    const line = text.slice(IDS[0].length + 1);
    if (line.startsWith('|request|') || line.startsWith('|error|')) return;
    this.seats[IDS.indexOf(text.slice(0, IDS[0].length))].tracker.read(line);
  }

  /** 1 won, 0 drawn, -1 lost. A battle of 1,000 turns is the simulator's tie. */
  outcome(n) {
    const { winner } = this.simulated;
    if (!winner) return 0;
    return winner === IDS[n] ? 1 : -1;
  }

  /** What the state is worth to a seat: difference of HP fractions and of Pokemon left, over 12. */
  potential(n) {
    let sum = 0;
    for (const side of this.simulated.sides) {
      let value = 0;
      for (const pokemon of side.pokemon) value += pokemon.hp / pokemon.maxhp + !pokemon.fainted;
      sum += side.n === n ? value : -value;
    }
    return sum / 12;
  }
}

module.exports = { Battle };
