'use strict';
// The text of a log as the battle's course: what twelve years of servers have written, in the words of today.
//
// Chat, timers and pages are passed over. What stays are the lines of the protocol, each as p1, as p2 and as everybody
// else was sent it, and what the log says of itself: format, players, outcome.

const { toID } = require('../tracker/tables');

const SHOWN = 80; // letters of a line that cannot be read

/** A log that is no battle to learn from; `line` is the number of the line that tells. */
class Unreadable extends Error {
  constructor(message, line) {
    super(message);
    this.line = line;
  }
}

const ENTITIES = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", rarr: '→', '#39': "'", '#x27': "'", '#x2F': '/',
};

/** Undo what saving in a page has done: '305\/305', 'Farfetch&#39;d'. */
function unescape(text) {
  let plain = text;
  if (plain.includes('\\/')) plain = plain.replaceAll('\\/', '/');
  if (plain.includes('&')) plain = plain.replace(/&(#?\w+);/g, (whole, name) => ENTITIES[name] ?? whole);
  return plain;
}

// Lines that tell nothing of the battle: who talks, comes and goes, what time it is, what a page shows.
const TALK = new Set([
  '', 'c', 'c:', 'chat', 'j', 'J', 'join', 'l', 'L', 'leave', 'n', 'N', 'b', 'B', 'battle', 'raw', 'html', 'uhtml',
  'uhtmlchange', 'inactive', 'inactiveoff', 'badge', 'debug', 'error', 'bigerror', 'warning', 'message', '-message',
  'hint', '-hint', 't:', ':', 'title', 'init', 'deinit', 'users', 'request', 'seed', 'askreg', 'unlink', 'hidelines',
  'tempnotify', 'notify', 'popup', 'pm', 'expire', 'noinit', 'queryresponse', 'formats', 'updatesearch', 'sentchoice',
  'fieldhtml', 'controlshtml', 'selectorhtml', 'pagehtml', 'rated', '-candynamax',
]);
const WITH_CONDITION = { switch: 4, drag: 4, replace: 4, '-damage': 3, '-heal': 3, '-sethp': 3 };
const SCALES = new Set([48, 100]); // what the other side's health is shown on

/** The rank before a name, and spaces around it, are no part of it. */
const plainName = name => name.trim().replace(/^[^\p{L}\p{N}]+/u, '') || name.trim();
const sameName = (one, other) => plainName(one) === plainName(other) || (toID(one) !== '' && toID(one) === toID(other));

/** The format's id that a tier is of: 'OU (suspect test)' of generation 6 is gen6ou. */
function formatOf(tier, gen) {
  const id = toID(tier.replace(/\([^)]*\)\s*$/, ''));
  return /^gen[0-9]/.test(id) || !id ? id : `gen${gen}${id}`;
}

/** Whose health a line tells, and how; null if none. */
function healthIn(kind, text) {
  const at = WITH_CONDITION[kind];
  if (!at) return null;
  const parts = text.split('|');
  const [, now, whole] = /^(\d+)\/(\d+)/.exec(parts[at] || '') || [];
  return whole ? { who: parts[2].slice(0, 2), at, now: +now, whole: +whole } : null;
}

/** The same line with health as the other side is shown it. */
function inPercent(text, { at, now, whole }) {
  const parts = text.split('|');
  const share = Math.ceil((100 * now) / whole);
  parts[at] = parts[at].replace(/^\d+\/\d+/, `${share === 100 && now < whole ? 99 : share}/100`);
  return parts.join('|');
}

/** One of both players, as the log names them. */
class Player {
  constructor() {
    this.names = [];
    this.rating = null;
    this.teamSize = 0; // 0: the log does not say
    this.sheet = null; // {line, team: packed}: shown openly
  }

  isCalled(name) {
    return this.names.some(known => sameName(known, name));
  }
}

class Log {
  /** @param {string} text of a log, one line of the protocol a line */
  constructor(text) {
    this.players = { p1: new Player(), p2: new Player() };
    this.format = '';
    this.gen = 0;
    this.winner = null; // 'p1', 'p2', '' for a tie
    this.lines = []; // {kind, parts: as others see it, texts: as p1, p2 and others do, number: from 1 on, of the text}
    this.gameType = '';
    this.tier = '';
    this.about = { gametype: 1, gen: 1, tier: 1 }; // the lines that say what it is
    this.seen = { p1: null, p2: null };
    this.passing = ''; // whose Baton Pass it is that somebody comes in by
    this.read(text.split('\n'));
  }

  read(texts) {
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i].endsWith('\r') ? texts[i].slice(0, -1) : texts[i];
      if (text === '|split' || text.startsWith('|split|')) {
        i += this.readSplit(texts, i);
      } else if (text.charCodeAt(0) === 124) {
        this.take([text, text, text], i + 1);
      }
    }
  }

  /** What not all are told: '|split|p1', its owner's line, others'; to 2018 '|split', others', p1's, p2's, all. */
  readSplit(texts, at) {
    const owner = texts[at].slice('|split|'.length).trim();
    const [first, second, third] = [1, 2, 3].map(n => (texts[at + n] || '').replace(/\r$/, ''));
    if (!owner) {
      this.take([second, third, first], at + 2);
      return 4;
    }
    this.take(owner === 'p1' ? [first, second, second] : [second, first, second], at + 2);
    return 2;
  }

  take(texts, number) {
    const [kind] = texts.find(text => text).slice(1).split('|', 1);
    if (TALK.has(kind) && texts[2] !== '|') {
      this.note(kind, texts[2].split('|').map(unescape));
      return;
    }
    if (this.winner !== null) return; // whatever follows the end
    const plain = texts.map(unescape).map(text => this.pass(kind, text));
    const parts = plain[2].split('|');
    if (ABOUT[kind]) ABOUT[kind](this, parts, number);
    this.lines.push({ kind, parts, texts: plain, number });
    if (kind === '-sethp' && /^p[12]/.test(parts[4] || '')) this.splitSetHP(number);
  }

  /** To 2019 it was not said that who comes in after a Baton Pass comes in by it. */
  pass(kind, text) {
    const parts = text.split('|');
    const id = (parts[2] || '').slice(0, 2);
    if (kind === 'move') this.passing = parts[3] === 'Baton Pass' ? id : '';
    if (kind === '-fail' || kind === 'turn' || kind === 'faint') this.passing = '';
    if (kind !== 'switch' || this.passing !== id || text.includes('|[from]')) return text;
    return `${text}|[from] Baton Pass`;
  }

  /** Pain Split of to 2017: one line for both. */
  splitSetHP(number) {
    const { texts } = this.lines.pop();
    for (const [who, health] of [[2, 3], [4, 5]]) {
      const each = texts.map(text => {
        const parts = text.split('|');
        return ['', '-sethp', parts[who], parts[health], ...parts.slice(6)].join('|');
      });
      this.lines.push({ kind: '-sethp', parts: each[2].split('|'), texts: each, number });
    }
  }

  /** Lines of talk that tell something of the players nevertheless. */
  note(kind, parts) {
    if (kind === 'raw') this.readRating(parts[2] || '');
    if (kind === 'n' || kind === 'N') this.rename(parts);
  }

  readRating(text) {
    const found = /^(.*?)'s rating: (?:<[^>]*>)?(\d+)\b/.exec(text);
    if (!found) return;
    const player = Object.values(this.players).find(one => one.isCalled(found[1]));
    if (player && player.rating === null) player.rating = +found[2];
  }

  rename([, , now, before]) {
    const player = Object.values(this.players).find(one => before && one.isCalled(before));
    if (player) player.names.push(now);
  }

  /**
   * The battle's lines as a player was sent them, one for each of `lines`. Where a log has exact health of both
   * sides, the player saw that of the other in percent.
   */
  seenBy(id) {
    return (this.seen[id] ??= this.lookAs(id));
  }

  lookAs(id) {
    const seat = id === 'p1' ? 0 : 1;
    const texts = this.lines.map(line => line.texts[seat] ?? '');
    const conditions = this.lines.map((line, i) => healthIn(line.kind, texts[i]));
    const isExact = who => conditions.some(one => one && one.who === who && !SCALES.has(one.whole));
    const other = id === 'p1' ? 'p2' : 'p1';
    if (!isExact(other)) return { texts, isExact: isExact(id) };
    conditions.forEach((one, i) => {
      if (one && one.who === other) texts[i] = inPercent(texts[i], one);
    });
    return { texts, isExact: isExact(id) };
  }

  /** Refuse what is no whole battle of a format. */
  check(format, dex) {
    const { lines, about, gameType, gen } = this;
    if (!lines.some(({ kind }) => kind === 'switch')) throw new Unreadable('it holds no battle', 1);
    if (gameType && gameType !== 'singles') {
      throw new Unreadable(`it is ${gameType}, only singles are read`, about.gametype);
    }
    if (gen && gen !== dex.gen) throw new Unreadable(`it is of generation ${gen}, not ${dex.gen}`, about.gen);
    const told = formatOf(this.tier, gen || dex.gen);
    if (told && told !== format) throw new Unreadable(`it is of ${told}, not ${format}`, about.tier);
    for (const line of lines) checkNames(line, dex);
    if (this.winner === null) throw new Unreadable('it ends before the battle does', lines[lines.length - 1].number);
  }

  /** 1 won, 0 drawn, -1 lost. */
  outcome(id) {
    if (!this.winner) return 0;
    return this.winner === id ? 1 : -1;
  }
}

const NAMES_SPECIES = { switch: 3, drag: 3, replace: 3, detailschange: 3, poke: 3, '-formechange': 3 };

/** Refuse a line that names what the generation does not have: a log of another game, or a broken one. */
function checkNames({ kind, parts, number }, dex) {
  const at = NAMES_SPECIES[kind];
  const name = at && (parts[at] || '').split(', ')[0].replace('-*', '');
  if (at && !isThere(dex.species.get(name), dex)) {
    throw new Unreadable(`it has '${name}', which is no Pokemon of generation ${dex.gen}`, number);
  }
  if (kind !== 'move') return;
  const move = (parts[3] || '').replace(/^Z-/, '');
  if (!isThere(dex.moves.get(move), dex) && toID(move) !== 'recharge') {
    throw new Unreadable(`it has '${move}', which is no move of generation ${dex.gen}`, number);
  }
}

const isThere = (entry, dex) => entry.exists && entry.gen <= dex.gen;

const ABOUT = {
  __proto__: null,
  player(log, [, , id, name, , rating]) {
    const player = log.players[id];
    if (!player || !name) return; // after the end, and to those who leave
    player.names.push(name);
    if (/^\d+$/.test(rating || '')) player.rating = +rating;
  },
  teamsize(log, [, , id, size]) {
    if (log.players[id]) log.players[id].teamSize = +size;
  },
  showteam(log, [, , id, ...packed]) {
    if (log.players[id]) log.players[id].sheet = { at: log.lines.length, team: packed.join('|') };
  },
  gametype(log, [, , type], number) {
    log.gameType = type.trim();
    log.about.gametype = number;
  },
  gen(log, [, , gen], number) {
    log.gen = +gen;
    log.about.gen = number;
  },
  tier(log, [, , tier], number) {
    log.tier = tier.trim();
    log.about.tier = number;
  },
  win(log, [, , name], number) {
    const won = Object.entries(log.players).filter(([, player]) => player.isCalled(name || ''));
    if (won.length !== 1) throw new Unreadable(`who won is no player of it`, number);
    log.winner = won[0][0];
  },
  tie(log) {
    log.winner = '';
  },
};

/** Do something with a line; what goes wrong is said of it. */
function reading({ texts, number }, operation) {
  try {
    return operation();
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    const text = texts[2].slice(0, SHOWN);
    throw new Unreadable(`cannot read the line '${text}': ${error.message.split('\n')[0]}`, number);
  }
}

module.exports = { Log, Unreadable, reading };
