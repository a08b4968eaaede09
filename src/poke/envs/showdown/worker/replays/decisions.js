'use strict';
// Where a player had to choose, and what shows of the choice, from the lines alone.

const { toID } = require('../tracker/tables');

/** The id of what made somebody use a move, '' where that was his player; an item only makes him faster. */
function causeOf(parts) {
  const tag = parts.slice(4).find(part => part.startsWith('[from]'));
  if (!tag || tag.startsWith('[from] item: ')) return '';
  return toID(tag.slice('[from]'.length).replace(/^ ?(?:move|ability): /, ''));
}

/**
 * A point at which a player had to choose.
 *
 * `at`: lines before this one were told by then. `isSwitch`: somebody had to be sent in. What shows of the choice is
 * the line `arrival` of who came in, or the line `move` of a move or of why it could not be made; -1 where nothing
 * does. `stayed`: it was no switch. `said`: what a |choice| line says, '' without one.
 */
class Decision {
  constructor(at, isSwitch) {
    this.at = at;
    this.isSwitch = isSwitch;
    this.arrival = -1;
    this.move = -1;
    this.stayed = false;
    this.said = '';
    this.gimmick = ''; // what it did besides: mega, zmove, dynamax, terastallize
    this.isReviving = false; // one that has fainted was to be chosen: `revived`, as the log names it
    this.revived = '';
    this.isOpen = true; // what shows of it may still come
    this.isOverridden = false; // its move may have become another one
    this.mayHaveLeft = false; // a Pursuit met it when it wanted to leave
  }
}

const GIMMICKS = { '-mega': 'mega', '-burst': 'mega', '-zpower': 'zmove', '-terastallize': 'terastallize' };

class Decisions {
  /**
   * @param {import('./log').Log} log
   * @param {string} id whose
   */
  constructor(log, id) {
    this.id = id;
    this.all = [];
    this.pause = 0; // where the simulator last waited for choices
    this.current = null; // of this turn
    this.hasFainted = false; // who stands in battle
    this.othersMoved = false; // this turn
    this.cause = 0; // the last line for which somebody has to be sent in
    log.lines.forEach(({ kind, parts }, i) => {
      if (kind === '') this.pause = i;
      const read = LINES[kind];
      if (read) read(this, i, parts);
    });
  }

  isOwn(ident) {
    return (ident || '').startsWith(this.id);
  }

  add(at, isSwitch) {
    const decision = new Decision(at, isSwitch);
    this.all.push(decision);
    return decision;
  }

  /** It is not to be seen any more what was chosen this turn. */
  close() {
    if (this.current) this.current.isOpen = false;
  }

  comeIn(i) {
    const { current } = this;
    // To gen 4 who wanted to leave is followed even if a Pursuit fells it.
    const isPursued =
      current && current.mayHaveLeft && this.hasFainted && this.pause < this.cause && current.arrival < 0;
    if (isPursued || (current && current.isOpen && !this.hasFainted && !this.othersMoved)) {
      current.arrival = i;
      this.close();
    } else if (this.all.length || this.cause) {
      this.add(this.pause > this.cause ? this.pause : i, true).arrival = i;
      this.close();
    }
    this.hasFainted = false;
    this.cause = i;
  }

  /** Something happens after all who want to have switched: who has not, stays. */
  moved(i, isOwn) {
    const { current } = this;
    if (!current) return;
    if (current.arrival < 0) current.stayed = true;
    if (!isOwn) this.othersMoved = true;
    else if (current.isOpen) current.move = i;
    if (isOwn) this.close();
  }

  /** Gen 1: a move goes on by itself, whatever was chosen. */
  goOn(i) {
    this.moved(i, false);
    this.close();
  }
}

const LINES = {
  __proto__: null,
  turn(decisions, i) {
    decisions.current = decisions.add(i + 1, false);
    decisions.othersMoved = false;
    decisions.pause = i + 1;
  },
  choice(decisions, i, parts) {
    const last = decisions.all[decisions.all.length - 1];
    // What is sent in for one who fainted shows anyway.
    if (last && last.at === i) last.said = (parts[decisions.id === 'p1' ? 2 : 3] || '').trim();
  },
  switch(decisions, i, [, , who]) {
    if (decisions.isOwn(who)) decisions.comeIn(i);
  },
  drag(decisions, i, [, , who]) {
    if (!decisions.isOwn(who)) return;
    decisions.close();
    decisions.hasFainted = false;
    decisions.cause = i;
  },
  faint(decisions, i, [, , who]) {
    decisions.cause = i;
    if (!decisions.isOwn(who)) return; // by what lies on the field, perhaps, before all have switched
    decisions.moved(i, false);
    decisions.hasFainted = true;
    decisions.close();
  },
  move(decisions, i, parts) {
    decisions.cause = i;
    const isOwn = decisions.isOwn(parts[2]);
    const from = causeOf(parts);
    if (from === 'pursuit' && !isOwn && decisions.current) decisions.current.mayHaveLeft = true;
    else if (isOwn && from && from === toID(parts[3]) && from !== 'pursuit') decisions.goOn(i);
    else if (!isOwn || !from || from === 'lockedmove' || from === 'pursuit') decisions.moved(i, isOwn);
  },
  cant(decisions, i, parts) {
    // Whose ability forbids it stands first.
    const of = parts.find(part => part.startsWith('[of] '));
    const who = of && parts[3].startsWith('ability: ') ? of.slice(5) : parts[2];
    // Of the other one it may come before a switch: where he chose Pursuit.
    if (decisions.isOwn(who)) decisions.moved(i, true);
  },
  '-start'(decisions, i, [, , who, what]) {
    const { current } = decisions;
    if (!current || !current.isOpen || !decisions.isOwn(who)) return;
    if (what === 'Dynamax') current.gimmick = 'dynamax';
    if (toID(what.replace('move: ', '')) === 'encore') current.isOverridden = true;
  },
  '-heal'(decisions, i, parts) {
    if (!decisions.isOwn(parts[2]) || !parts.includes('[from] move: Revival Blessing')) return;
    const decision = decisions.add(decisions.pause, true);
    decision.isReviving = true;
    decision.revived = parts[2];
  },
  upkeep(decisions, i) {
    decisions.moved(i, false);
    decisions.close();
    decisions.cause = i;
  },
};

for (const [kind, name] of Object.entries(GIMMICKS)) {
  LINES[kind] = (decisions, i, [, , who]) => {
    if (decisions.isOwn(who) && decisions.current) decisions.current.gimmick = name;
  };
}

module.exports = { Decisions };
