'use strict';
// A tracker's knowledge as the layout's bytes.

class Encoder {
  constructor({ layout }) {
    this.size = layout.size;
  }

  encode(tracker, bytes, offset) {
    bytes.fill(0, offset, offset + this.size);
    bytes[offset] = Math.min(127, tracker.turn);
    bytes[offset + 1] = tracker.now.forceSwitch ? 1 : 0;
  }
}

module.exports = { Encoder };
