'use strict';
// Who stood there as somebody else: a Pokemon with Illusion looks like another of its team, and a log may never tell.

const { toID } = require('../tracker/tables');

const PURSUING = /^\[from\] ?(move: )?Pursuit/;
const LEARNED = new WeakMap(); // dex -> moves that one with Illusion may have

function illusionists(dex) {
  if (!LEARNED.has(dex)) {
    const has = species => species.gen <= dex.gen && Object.values(species.abilities).includes('Illusion');
    const found = dex.species.all().filter(has);
    const moves = new Set();
    for (const { id } of found) {
      for (const move of Object.keys(dex.species.getLearnsetData(id).learnset || {})) moves.add(move);
    }
    LEARNED.set(dex, { names: new Set(found.map(species => species.name)), moves });
  }
  return LEARNED.get(dex);
}

/** From coming in to leaving. */
class Stint {
  constructor(sheet, from) {
    this.sheet = sheet;
    this.from = from;
    this.to = Infinity;
    this.isProven = false; // it is who it seems to be
    this.isMasked = false; // it is not: the log shows so
  }
}

class Doubts {
  /**
   * @param dex of the format
   * @param {import('./log').Log} log
   * @param {import('./sheets').Revealed} revealed
   */
  constructor(dex, log, revealed) {
    this.stints = [];
    this.doubted = [];
    if (dex.gen < 5) return;
    this.id = revealed.id;
    this.dex = dex;
    this.illusionists = illusionists(dex);
    this.mover = '';
    log.lines.forEach(({ kind, parts }, i) => this.read(kind, parts, i, revealed));
    this.doubted = this.stints.filter(stint => !stint.isProven && !this.isSettled(revealed));
  }

  /** Whether nobody of the team can have Illusion: everybody in it has been seen to be himself. */
  isSettled({ team, teamSize, tracker }) {
    const isOne = ({ seen }) =>
      this.illusionists.names.has(seen.original.name) || seen.baseAbility === 'illusion';
    if (team.some(isOne)) return false;
    if (tracker.opponent.hasPreview) return true;
    const genuine = new Set(this.stints.filter(stint => stint.isProven).map(stint => stint.sheet));
    return genuine.size >= teamSize && teamSize > 0;
  }

  read(kind, parts, i, revealed) {
    const isOwn = (parts[2] || '').startsWith(this.id);
    const now = this.stints[this.stints.length - 1];
    // Who is hit as it leaves keeps its Illusion.
    if (kind === 'move') this.mover = parts.some(part => PURSUING.test(part)) ? '' : parts[2].slice(0, 2);
    if (kind === 'upkeep' || kind === '') this.mover = '';
    if (!isOwn) return;
    if (kind === 'switch' || kind === 'drag') {
      if (now) now.to = i;
      this.stints.push(new Stint(revealed.arrivals.get(i), i));
    } else if (kind === 'replace' && now) {
      now.isProven = false;
      now.isMasked = true;
      now.to = i;
      const sheet = revealed.unmasked.get(i);
      if (sheet) this.stints.push(Object.assign(new Stint(sheet, i), { isProven: true }));
    } else if (now && !now.isMasked && this.proves(kind, parts)) {
      now.isProven = true;
    }
  }

  /** What nobody with Illusion does: be hit and stay, use moves it cannot learn, show another ability. */
  proves(kind, parts) {
    if (kind === '-damage') {
      // One that it does not survive does not end an Illusion.
      const isHit = this.mover !== '' && this.mover !== this.id && !parts.some(part => part.startsWith('[from]'));
      return isHit && !parts[3].endsWith(' fnt');
    }
    const isCalled = parts.slice(4).some(part => part.startsWith('[from]') || part === '[zeffect]');
    if (kind === 'move') return !isCalled && this.isForeign(parts[3]);
    if (kind === '-ability') return !parts.some(part => part.startsWith('[from]'));
    return kind === '-mega' || kind === 'detailschange' || kind === '-formechange' || kind === '-transform';
  }

  isForeign(name) {
    const id = toID(name);
    const { exists, isZ, isMax } = this.dex.moves.get(id);
    return exists && !isZ && !isMax && id !== 'struggle' && !this.illusionists.moves.has(id);
  }

  /** Whether who stands there at a line may be another. */
  isAt(line) {
    return this.doubted.some(stint => stint.from < line && line <= stint.to);
  }

  /** Whether anybody was doubted until a line. */
  hasBegun(line) {
    return this.open(line).length > 0;
  }

  /** Stints until a line of which it is not known who stood there; of one that is over and was unmasked it is. */
  open(line) {
    if (!this.doubted.length) return this.doubted;
    return this.doubted.filter(({ from, to, isMasked }) => from < line && (!isMasked || line <= to));
  }

  /** Whether what happened to one until a line may have happened to another, or to it under another's looks. */
  mayBe(sheet, line) {
    if (!this.hasBegun(line)) return false;
    return !sheet || this.illusionists.names.has(sheet.seen.original.name) || this.touches(sheet, line);
  }

  /** Whether what was seen of one until a line, or who came in at it, may have been seen of another. */
  touches(sheet, line) {
    return this.open(line).some(stint => stint.sheet === sheet);
  }

  /** Whether this line lies in a doubted stint of it: a move that was first seen then may be another's. */
  isWithin(sheet, line) {
    const isIn = ({ from, to, isMasked }) => from <= line && (isMasked ? line < to : line <= to);
    return this.doubted.some(stint => stint.sheet === sheet && isIn(stint));
  }
}

module.exports = { Doubts };
