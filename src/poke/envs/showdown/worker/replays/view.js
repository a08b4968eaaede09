'use strict';
// A battle once more as one of its players saw it: the lines of its channel, and requests made of what the whole log
// reveals of its side. The tracker and the encoder are the ones that read the simulator's own battles.

const { legal, boundSlot } = require('../request');
const { Tracker } = require('../tracker');
const { MoveSlot } = require('../tracker/pokemon');
const { toID } = require('../tracker/tables');
const { bound } = require('./bound');
const { Doubts } = require('./doubt');
const { Gimmicks, placeBehind, FIRST } = require('./gimmicks');
const { reading } = require('./log');

const NO_STATS = Object.freeze({ atk: 0, def: 0, spa: 0, spd: 0, spe: 0 });
const UNKNOWN_MOVE = '';
const SAID = { mega: 'mega', ultra: 'mega', megax: 'mega', megay: 'mega', zmove: 'zmove' };
const TEAM_SIZE = 6;

const conditionOf = (hp, maxhp, status) => (hp > 0 ? `${hp}/${maxhp}${status ? ` ${status}` : ''}` : '0 fnt');

class View {
  /**
   * @param dex of the format
   * @param {import('./log').Log} log
   * @param {import('./sheets').Revealed} revealed of the player who looks
   */
  constructor(dex, log, revealed) {
    this.dex = dex;
    this.lines = log.lines;
    this.seen = log.seenBy(revealed.id);
    this.revealed = revealed;
    this.id = revealed.id;
    this.tracker = new Tracker(dex, this.id);
    this.gimmicks = new Gimmicks(dex, log, this.id);
    this.doubts = new Doubts(dex, log, revealed);
    this.vague = new Map(); // Pokemon -> ids of moves whose PP are not known; null: of any
    this.read = 0; // lines
    this.sheets = new Map(); // own Pokemon -> its Sheet, null: it was never seen
    this.team = this.teamAtFirst(); // the Sheets in the first request's order
    this.foeId = this.id === 'p1' ? 'p2' : 'p1';
    this.pressing = new Set(); // who has told of a Pressure since he came in
    this.wasTrapped = false; // who stands in battle, since it came in
    this.bound = null; // what the last request said of moves; null: it was for somebody to be sent in
    this.sure = null; // of the last request's gimmicks
  }

  /** In order of appearance: a log does not tell the team's own. */
  teamAtFirst() {
    const { team, teamSize } = this.revealed;
    const unseen = new Array(Math.max(0, teamSize - team.length)).fill(null);
    return [...team, ...unseen].slice(0, TEAM_SIZE);
  }

  /** Read on to a decision and ask what is to be chosen there. Returns the legal actions as bits. */
  ask(decision) {
    for (; this.read < decision.at; this.read++) this.readLine(this.read);
    const request = this.request(decision);
    this.tracker.request(request);
    this.tracker.settle();
    if (!this.sheets.size) this.tracker.own.team.forEach((pokemon, i) => this.sheets.set(pokemon, this.team[i]));
    return legal(request);
  }

  readLine(i) {
    const line = this.lines[i];
    reading(line, () => {
      this.tracker.read(this.seen.texts[i]);
      if (line.kind === 'move') this.doubtPP(line.parts);
      if (line.kind === '-start' || line.kind === '-activate') this.doubtCopy();
      this.noteStint(line);
      if (this.revealed.unmasked.has(i)) this.unmask(this.revealed.unmasked.get(i));
      this.gimmicks.read(line);
    });
  }

  /** The player knew all along that it was this one; of whom it looked like nothing has happened to. */
  unmask(sheet) {
    const { own } = this.tracker;
    const seeming = own.active;
    const pokemon = own.team.find(one => this.sheets.get(one) === sheet);
    if (!pokemon || pokemon === seeming) return;
    const { hp, maxhp, terastallized, teraType } = seeming;
    pokemon.takePlaceOf(seeming);
    Object.assign(pokemon, { hp, maxhp, terastallized, condition: conditionOf(hp, maxhp, pokemon.status) });
    if (terastallized) pokemon.teraType = teraType;
    seeming.condition = conditionOf(seeming.hp, seeming.maxhp, seeming.status);
    pokemon.retype();
    pokemon.touch();
    own.active = pokemon;
    const [here, there] = [own.team.indexOf(seeming), own.team.indexOf(pokemon)];
    [own.team[here], own.team[there]] = [pokemon, seeming];
    this.vague.set(pokemon, null); // what it used in its looks was counted as the other's
  }

  /** A Pressure that was not shown, and what stands behind a Z- or max move, take PP that nobody tells. */
  doubtPP(parts) {
    const { own, opponent } = this.tracker;
    const isOwn = parts[2].startsWith(this.id);
    const [user, target] = isOwn ? [own.active, opponent.active] : [opponent.active, own.active];
    if (!user) return;
    const { id, isZ, isMax } = this.dex.moves.get(parts[3]);
    if ((isZ || isMax) && isOwn) this.vague.set(user, null);
    if (this.dex.gen < 3 || !target || this.vague.get(user) === null) return;
    const isUntold = target.ability === '' || target.ability === 'noability';
    const mayPress = isUntold && Object.values(target.species.entry.abilities || {}).includes('Pressure');
    // From gen 4 on it is told on coming in: one that does not tell may be another in its looks.
    const hasTold = this.pressing.has(isOwn ? this.foeId : this.id);
    const isSilent = target.ability === 'pressure' && this.dex.gen >= 5 && !hasTold;
    if (!mayPress && !isSilent) return;
    if (!this.vague.has(user)) this.vague.set(user, new Set());
    this.vague.get(user).add(id);
  }

  /**
   * What holds since somebody came in. Who was trapped may stay so though the other one leaves: to gen 4 Baton Pass
   * hands the hold on.
   */
  noteStint({ kind, parts }) {
    const id = (parts[2] || '').slice(0, 2);
    if (kind === 'switch' || kind === 'drag') this.pressing.delete(id);
    if (kind === '-ability' && parts[3] === 'Pressure') this.pressing.add(id);
    if (id !== this.id) return;
    if (kind === 'switch' || kind === 'drag') this.wasTrapped = false;
    if (kind === '-activate' && parts[3] === 'trapped') this.wasTrapped = true;
  }

  /** Mimic may copy what its user has already: which of the two is used, lines do not tell. */
  doubtCopy() {
    const { active } = this.tracker.own;
    if (!active || active.moves === active.baseMoves || this.vague.get(active) === null) return;
    const ids = active.moves.map(({ move }) => move.id);
    const twice = ids.filter((id, j) => ids.indexOf(id) < j);
    if (twice.length) this.vague.set(active, new Set([...(this.vague.get(active) || []), ...twice, 'mimic']));
  }

  isVague(pokemon, id) {
    return this.vague.has(pokemon) && (this.vague.get(pokemon) === null || this.vague.get(pokemon).has(id));
  }

  request(decision) {
    const { own } = this.tracker;
    const pokemon = this.sheets.size
      ? own.team.map(one => this.entry(one, this.sheets.get(one), decision.at))
      : this.team.map((sheet, i) => this.firstEntry(sheet, i, decision.at));
    const request = { side: { id: this.id, name: '', pokemon } };
    this.bound = null;
    if (decision.isSwitch) {
      if (decision.isReviving) pokemon.find(entry => entry.active).reviving = true;
      return { ...request, forceSwitch: [true] };
    }
    if (!this.sheets.size) this.fillIn(pokemon[0], decision.at);
    this.bound = bound(this, decision);
    const canLeave = pokemon.some(entry => !entry.active && !entry.condition.endsWith(' fnt'));
    const { moves, isAlone, isTrapped } = this.bound;
    const { flags, sure } = this.gimmicks.asked(own.active, this.itemOf(own.active, decision.at), moves);
    this.sure = sure;
    const active = { moves, ...(isAlone ? {} : flags) };
    if (isTrapped && (canLeave || isAlone)) active.trapped = true;
    return { ...request, active: [active] };
  }

  /** Before its first request the tracker knows nothing of who leads but its looks. */
  fillIn(entry, at) {
    const { active } = this.tracker.own;
    active.moves = active.baseMoves = entry.moves.map(id => new MoveSlot(this.tracker.tables.move(id)));
    if (this.dex.gen > 1) active.item = entry.item;
    if (active.ability === '') active.ability = entry.baseAbility;
  }

  movesOf(sheet) {
    return sheet && sheet.moves.length ? sheet.moves.map(move => move.id) : [UNKNOWN_MOVE];
  }

  firstEntry(sheet, i, at) {
    const name = sheet ? sheet.seen.name || sheet.seen.base.name : `?${i}`;
    const own = this.tracker.own.active;
    return {
      ident: `${this.id}: ${name}`,
      // Who leads may have changed its form on coming in.
      details: i === 0 && own ? own.details : sheet ? sheet.details : '',
      condition: i === 0 && own ? own.condition : '100/100',
      active: i === 0,
      stats: NO_STATS,
      moves: this.movesOf(sheet),
      pokeball: `${i}`, // tells those apart that are alike
      ...this.held(sheet, at, null),
    };
  }

  entry(pokemon, sheet, at) {
    return {
      ident: pokemon.ident,
      details: pokemon.entryDetails === '' ? '' : pokemon.details,
      condition: pokemon.condition,
      active: pokemon === this.tracker.own.active,
      stats: NO_STATS,
      moves: pokemon.moves.map(slot => slot.move.id),
      pokeball: pokemon.key.split('|')[1],
      ...this.held(sheet, at, pokemon),
    };
  }

  held(sheet, at, pokemon) {
    const item = sheet && sheet.item.at(at - 1);
    const ability = sheet && sheet.ability.at(at - 1);
    const tera = sheet && sheet.tera.at(at - 1);
    const held = { item: item ? item.value : '', baseAbility: ability ? ability.value : '' };
    if (this.dex.gen >= 9) {
      held.teraType = tera ? tera.value : '';
      held.terastallized = pokemon ? pokemon.terastallized : '';
    }
    return held;
  }

  itemOf(pokemon, at) {
    const sheet = this.sheets.size ? this.sheets.get(pokemon) : this.team[0];
    const held = sheet && sheet.item.at(at - 1);
    return held && !this.doubts.isWithin(sheet, held.told) ? held : null;
  }

  /** Whether who stands in battle may be bound to its last move by an item or ability that is not known. */
  mayBeChoiceLocked() {
    const { active } = this.tracker.own;
    if (this.dex.gen < 3 || !active.lastMove) return false;
    const item = this.itemOf(active, this.read);
    if (!item || item.value.startsWith('choice')) return true;
    return Object.values(active.species.entry.abilities || {}).includes('Gorilla Tactics');
  }

  /** The action that a decision shows, -1 if it does not. */
  chosen(decision, mask) {
    if (this.doubts.isAt(decision.at)) return -1;
    if (decision.arrival >= 0) {
      const sheet = this.revealed.arrivals.get(decision.arrival);
      return this.doubts.isWithin(sheet, decision.arrival) ? -1 : this.slotOf(sheet);
    }
    if (decision.isSwitch) return decision.isReviving ? this.slotNamed(decision.revived) : -1;
    const { isSure, isAlone } = this.bound;
    // Who stayed and had one move to choose has chosen it.
    if (decision.stayed && !decision.mayHaveLeft && isSure && isAlone) return 6 + (31 - Math.clz32(mask >> 6));
    if (decision.said.startsWith('move ')) return this.slotSaid(decision.said.slice(5));
    if (decision.move < 0 || decision.isOverridden) return -1;
    return this.slotOfMove(this.lines[decision.move].parts, decision.gimmick);
  }

  slotOf(sheet) {
    return this.tracker.own.team.findIndex(pokemon => this.sheets.get(pokemon) === sheet);
  }

  slotNamed(ident) {
    const name = ident.slice(ident.indexOf(':') + 2);
    const fallen = this.tracker.own.team.filter(pokemon => pokemon.name === name && pokemon.fainted);
    return fallen.length === 1 ? this.tracker.own.team.indexOf(fallen[0]) : -1;
  }

  /** 'earthquake', 'flareblitz mega': a move by its id. By its number it is not known, which is the player's own. */
  slotSaid(text) {
    const [move, gimmick = ''] = text.trim().split(/\s+/);
    return this.slotOfMove(['', 'move', '', move], SAID[gimmick] || '');
  }

  slotOfMove(parts, gimmick) {
    const name = parts[1] === 'cant' ? parts[4] : parts[3];
    if (!name || name.startsWith('[')) return -1;
    const entry = this.dex.moves.get(name.replace(/^Z-/, ''));
    const { active } = this.tracker.own;
    const place = entry.isZ || entry.isMax
      ? placeBehind(active, entry.id, entry, active.ability)
      : this.bound.moves.findIndex(move => move.id === (entry.id || toID(name)));
    if (place < 0 || active.moves.filter(({ move }) => move.id === entry.id).length > 1) return -1;
    if (this.bound.isAlone) return 6 + boundSlot(this.tracker.lastRequest);
    return (FIRST[gimmick] || 6) + place;
  }

  /** Whether nobody was asked, because there was nothing to choose. */
  isForced(decision, mask) {
    if (mask & (mask - 1)) return false;
    if (decision.isSwitch) return this.revealed.teamSize > 0;
    const { isSure, trapIsSure, isAlone, moves } = this.bound;
    return isSure && trapIsSure && (isAlone || moves.length === 4);
  }
}

module.exports = { View, UNKNOWN_MOVE };
