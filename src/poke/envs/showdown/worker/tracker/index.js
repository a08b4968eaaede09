'use strict';
// What one player knows of a battle, computed from that player's protocol lines and requests alone.
// No object of the simulator comes in here but the dex, which is the rules: what is hidden from the player
// cannot leak, and a battle on a server or in a file is read just as one beside us.

const { tablesOf } = require('./tables');
const { Side } = require('./side');
const { LINES } = require('./lines');
const { settle } = require('./requests');

class Tracker {
  /**
   * @param dex the dex of the battle's format
   * @param id 'p1' or 'p2': who looks
   */
  constructor(dex, id) {
    this.dex = dex;
    this.gen = dex.gen;
    this.tables = tablesOf(dex);
    this.id = id;
    this.own = new Side(id, this.tables);
    this.opponent = new Side(id === 'p1' ? 'p2' : 'p1', this.tables);
    this.turn = 0;
    this.weather = '';
    this.field = new Set(); // terrain and pseudo-weather
    this.lastRequest = null; // the last one that was read into the own side
    this.pending = null; // one that came before its lines
    this.isCustomGame = false;
    this.hasStarted = false;
    this.requestsComeFirst = null; // some servers send the request before the lines it belongs to
    this.copying = null; // who became the own Pokemon before its moves were known
    this.mover = null; // whose move the lines tell of
    this.moves = 0; // that were used so far
    this.confused = null; // who was told to be confused and has not moved since
    this.isDesync = false; // gen 1: the next move is one that its user did not choose for itself
    this.version = 0; // of what belongs to no Pokemon
    this.image = null; // the encoder's
  }

  /** Read one line of the protocol. Lines that are not of the battle's course are passed over. */
  read(line) {
    if (line.charCodeAt(0) !== 124 || line.length < 2) return; // '|'
    // The kind first: a third of the lines tells nothing that is kept, and need not be split.
    const end = line.indexOf('|', 1);
    const handler = LINES[end < 0 ? line.slice(1) : line.slice(1, end)];
    if (handler) handler(this, line.split('|'));
  }

  /** Read the player's request; it may come before or after the lines of its update. */
  request(request) {
    if (this.requestsComeFirst === null) this.requestsComeFirst = !this.hasStarted;
    this.settle();
    this.pending = request;
    if (!this.requestsComeFirst) this.settle();
  }

  /** Bring the last request and the lines together. Whoever looks at the tracker calls this first. */
  settle() {
    if (!this.pending) return;
    const request = this.pending;
    this.pending = null;
    settle(this, request);
  }

  sideOf(ident) {
    return ident.startsWith(this.id) ? this.own : this.opponent;
  }

  foeOf(side) {
    return side === this.own ? this.opponent : this.own;
  }

  /** Who stands against a Pokemon that stands in battle. */
  rivalOf(pokemon) {
    return (pokemon === this.own.active ? this.opponent : this.own).active;
  }

  /** Who has just fainted, if it has this name: lines name it like one on the bench, where another may be called so. */
  fallen(ident) {
    const { active } = this.sideOf(ident);
    return active && active.fainted && active.name === ident.slice(4) ? active : null;
  }

  /** The Pokemon a line is about, marked as changed. */
  at(ident, status = '') {
    const pokemon = this.sideOf(ident).find(ident, status);
    if (pokemon) pokemon.touch();
    return pokemon;
  }
}

module.exports = { Tracker };
