'use strict';
// Battles of the simulator, seen by both players' trackers: what both are told, in the order in which they are.

/** Splits the simulator's log into what each player is told, and remembers whom the lines were about. */
class Table {
  /**
   * @param simulator its modules: Battle, PRNG
   * @param format of the battle
   * @param seed a number; teams, dice and choices follow from it
   * @param fuzz a Fuzz whose teams are played, or null for the format's own
   * @param trackers (id) => Tracker
   * @param requestsFirst whether requests come before their lines, as servers send them
   */
  constructor({ simulator, format, seed, fuzz, makeTracker, requestsFirst, ledger }) {
    const seeds = k => `sodium,${(seed * 8 + k).toString(16).padStart(32, '0')}`;
    this.requestsFirst = requestsFirst;
    this.prng = new simulator.PRNG(seeds(4));
    this.ledger = ledger;
    this.battle = new simulator.Battle({ formatid: format.id, format, seed: seeds(0) });
    ledger.watch(this.battle);
    this.trackers = ['p1', 'p2'].map(makeTracker);
    this.told = [[], []]; // lines and requests of each player, in order
    this.read = 0;
    this.asked = [null, null]; // the last requests that were handed on
    if (fuzz) fuzz.prng = this.prng;
    ['p1', 'p2'].forEach((id, i) =>
      this.battle.setPlayer(id, { name: `${id} player`, seed: seeds(i + 1), team: fuzz ? fuzz.team() : undefined })
    );
    this.tell();
  }

  tell() {
    const { battle } = this;
    battle.sendUpdates();
    const lines = [[], []];
    for (; this.read < battle.log.length; this.read++) {
      const line = battle.log[this.read];
      if (!line.startsWith('|split|')) {
        lines[0].push(line);
        lines[1].push(line);
        continue;
      }
      const [secret, open] = battle.log.slice(this.read + 1, this.read + 3);
      ['p1', 'p2'].forEach((id, i) => lines[i].push(line.endsWith(id) ? secret : open));
      this.read += 2;
    }
    this.trackers.forEach((_, i) => {
      const request = battle.ended ? null : battle.sides[i].activeRequest;
      const isNew = request && request !== this.asked[i];
      this.asked[i] = request;
      if (isNew && this.requestsFirst) this.request(i, request);
      for (const line of lines[i]) this.line(i, line);
      if (isNew && !this.requestsFirst) this.request(i, request);
    });
  }

  line(i, line) {
    this.told[i].push(line);
    this.trackers[i].read(line);
  }

  request(i, request) {
    const text = JSON.stringify(request);
    this.told[i].push(`|request|${text}`);
    this.trackers[i].request(JSON.parse(text));
  }

  /** The sides that are to decide now. */
  deciding() {
    const isAsked = side => side.activeRequest && !side.activeRequest.wait && !side.isChoiceDone();
    return this.battle.ended ? [] : this.battle.sides.filter(isAsked);
  }

  /**
   * Play to the end or to a number of steps.
   * @param options inspect(side, index) is called at every decision; candidates(request, prng) gives the choices to try
   */
  play({ inspect, candidates, maxSteps = 400, onRefused }) {
    for (let step = 0; step < maxSteps && !this.battle.ended; step++) {
      const sides = this.deciding();
      for (const side of sides) if (!side.activeRequest.teamPreview) inspect(side, this.battle.sides.indexOf(side));
      for (const side of sides) this.choose(side, candidates, onRefused);
      this.tell();
    }
    return this.battle.ended;
  }

  choose(side, candidates, onRefused) {
    const { battle } = this;
    if (battle.ended || side.isChoiceDone()) return;
    if (side.activeRequest.teamPreview) {
      battle.choose(side.id, `team ${1 + this.prng.random(side.pokemon.length)}`);
      return;
    }
    const { first, rest } = candidates(side.activeRequest, this.prng);
    for (const left of [first, rest]) {
      while (left.length) {
        const [text] = left.splice(this.prng.random(left.length), 1);
        if (battle.choose(side.id, text)) return;
        onRefused(side, text);
      }
    }
    throw new Error(`${side.id} has no choice left: ${JSON.stringify(side.activeRequest)}`);
  }
}

module.exports = { Table };
