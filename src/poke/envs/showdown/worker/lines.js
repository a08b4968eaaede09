'use strict';
// Battles that are played elsewhere, on a server or long ago: a player's lines and requests come in, what it sees and
// may choose goes out. The tracker and the encoder are the ones that read the simulator's own battles.

const { Refused, loadForReading, dexOf, findFormat, teamsOf } = require('./formats');
const { legal, choice, refuse } = require('./request');
const opponents = require('./opponents');
const { Tracker } = require('./tracker');
const { Encoder } = require('./observation');

const STATES = { none: 0, asked: 1, forced: 2 };
const SHOWN = 80; // letters of a line that cannot be read
const HEAD = 6; // u8 state, u8 whether the last choice was refused, u32 mask

/** One player's view of one battle. */
class View {
  constructor(dex, player, encoder) {
    this.tracker = new Tracker(dex, player);
    this.encoder = encoder;
    this.request = null;
    this.decides = false;
    this.action = -1; // the last one, until something else is asked
    this.wasRefused = false;
    this.isUpdate = false; // the request to come is the refused one as it is now known
  }

  read(line) {
    if (line.startsWith('|request|')) this.ask(line.slice(9));
    else if (line.startsWith('|error|')) this.refused(line.slice(7));
    else this.tracker.read(line);
  }

  ask(text) {
    if (!text) return; // some servers send an empty one first
    let request = JSON.parse(text);
    if (request && !request.wait && !Array.isArray(request.side?.pokemon)) throw new Error('it has no team');
    if (this.isUpdate && request && (legal(request) >> this.action) & 1) {
      request = refuse(request, this.action, '');
    }
    if (!this.isUpdate) this.wasRefused = false;
    this.isUpdate = false;
    this.receive(request);
  }

  receive(request) {
    this.request = request;
    this.decides = !!request && !request.wait;
    this.action = -1;
    if (request) this.tracker.request(request);
  }

  /** An unavailable choice is followed by a new request, an invalid one is not. Other errors are no choice's. */
  refused(text) {
    if (this.action < 0 || !/^\[(?:Unavailable|Invalid) choice\]/.test(text)) return;
    this.wasRefused = true;
    if (text.startsWith('[Unavailable')) this.isUpdate = true;
    else this.receive(refuse(this.request, this.action, text));
  }

  choose(action) {
    if (!this.decides || !((legal(this.request) >> action) & 1)) {
      throw new Error(`action ${action} may not be chosen now`);
    }
    this.decides = false;
    this.action = action;
    return choice(this.request, action);
  }

  /** What a scripted player would choose, its dice always showing the lowest. */
  advice(player) {
    if (!this.decides || this.request.teamPreview) throw new Error('nothing is asked that a player could advise');
    this.tracker.settle();
    return opponents.choose(player, this.tracker, this.request, legal(this.request), () => 0);
  }

  /** What is to be chosen without asking: the order of the team, the only legal action. */
  forced(mask) {
    if (this.request.teamPreview) return 'default';
    return mask & (mask - 1) ? '' : choice(this.request, 31 - Math.clz32(mask));
  }

  /** Put what is asked now: state, mask, observation, and the choice where there is only one. */
  put(output) {
    const { size } = this.encoder;
    const mask = this.decides ? legal(this.request) : 0;
    if (this.decides && !mask && !this.request.teamPreview) throw new Error('no choice is left that was not refused');
    const text = this.decides ? this.forced(mask) : '';
    const at = output.room(HEAD + size + text.length);
    const { buffer } = output;
    buffer.fill(0, at, at + HEAD + size);
    buffer[at] = !this.decides ? STATES.none : text ? STATES.forced : STATES.asked;
    buffer[at + 1] = this.wasRefused ? 1 : 0;
    buffer.writeUInt32LE(mask, at + 2);
    if (this.decides && !this.request.teamPreview) {
      const bytes = new Int8Array(buffer.buffer, buffer.byteOffset, buffer.length);
      this.encoder.encode(this.tracker, bytes, at + HEAD);
    }
    buffer.write(text, at + HEAD + size, 'latin1');
  }
}

function readOne(view, line) {
  try {
    view.read(line);
  } catch (error) {
    throw new Error(`cannot read the line '${line.slice(0, SHOWN)}': ${error.message.split('\n')[0]}`);
  }
}

/** Answer the frames of mode `lines` (see main.js) until the input ends. */
function followLines(input, output, settings, folder) {
  let simulator = null; // loaded when the first battle is followed
  const views = new Map();
  const encoders = new Map(); // by dex
  const read = ({ battle, lines }) => {
    const view = views.get(battle);
    for (const line of lines) readOne(view, line);
    return view;
  };
  const answer = {
    O({ battle, format, player, requestsFirst }) {
      simulator ??= loadForReading(folder);
      const dex = dexOf(simulator, format);
      if (!encoders.has(dex)) encoders.set(dex, new Encoder(settings, dex));
      const view = new View(dex, player, encoders.get(dex));
      view.tracker.requestsComeFirst = requestsFirst;
      views.set(battle, view);
      output.sendObject('O', { generation: dex.gen });
    },
    D(question) {
      read(question).put(output);
      output.send('D');
    },
    C(question) {
      output.sendObject('C', read(question).choose(question.action));
    },
    P(question) {
      output.sendObject('P', read(question).advice(question.player));
    },
    T({ format, teams }) {
      simulator ??= loadForReading(folder);
      output.sendObject('T', teamsOf(simulator, findFormat(simulator, format), teams) || []);
    },
    X({ battle }) {
      views.delete(battle);
    },
  };
  for (;;) {
    const { kind, payload } = input.next();
    try {
      answer[kind](JSON.parse(payload));
    } catch (error) {
      output.clear();
      const { message, known = [] } = error;
      output.sendObject('E', { message, known, refused: error instanceof Refused });
    }
  }
}

module.exports = { followLines };
