'use strict';
// A tracker's knowledge as the layout's bytes.

let size = 0;

function configure(layout) {
  ({ size } = layout);
}

function encode(tracker, bytes, offset) {
  bytes.fill(0, offset, offset + size);
  bytes[offset] = Math.min(127, tracker.turn);
  bytes[offset + 1] = tracker.now.forceSwitch ? 1 : 0;
}

module.exports = { configure, encode };
