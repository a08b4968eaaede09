'use strict';
// What a player knows.

class Tracker {
  constructor(dex, player) {
    this.player = player;
    this.turn = 0;
    this.now = null;
  }

  read(line) {
    if (line.startsWith('|turn|')) this.turn = +line.slice(6);
  }

  request(request) {
    this.now = request;
  }
}

module.exports = { Tracker };
