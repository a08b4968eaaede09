'use strict';
// Frames over pipes, both ways: u32 length of what follows, u8 kind, payload; little-endian.
// Reads and writes block: a worker has nothing else to do, and an event loop between two frames costs more than
// many a step. The end of the input, or nobody there to read the output, ends the process.

const fs = require('fs');

const HEADER = 5;
const WAIT = new Int32Array(new SharedArrayBuffer(4));

// A pipe that somebody set to non-blocking answers EAGAIN: wait a millisecond and ask again.
function insist(operation) {
  for (;;) {
    try {
      return operation();
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(WAIT, 0, 0, 1);
    }
  }
}

/** What comes in: `next()` gives {kind, payload}; the payload is valid until the next call. */
class Input {
  constructor(fd) {
    this.fd = fd;
    this.buffer = Buffer.allocUnsafe(1 << 16);
    this.start = 0;
    this.end = 0;
  }

  next() {
    this.need(HEADER);
    const length = this.buffer.readUInt32LE(this.start);
    this.need(4 + length);
    const kind = String.fromCharCode(this.buffer[this.start + 4]);
    const payload = this.buffer.subarray(this.start + HEADER, this.start + 4 + length);
    this.start += 4 + length;
    return { kind, payload };
  }

  need(size) {
    if (this.end - this.start < size) {
      const old = this.buffer;
      if (size > old.length) this.buffer = Buffer.allocUnsafe(2 * size);
      old.copy(this.buffer, 0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    while (this.end < size) {
      const { buffer, end } = this;
      const got = insist(() => fs.readSync(this.fd, buffer, end, buffer.length - end, null));
      if (!got) process.exit(0); // the other end is closed, or its process is gone
      this.end += got;
    }
  }
}

/** What goes out, built in one buffer that is kept: `room(size)`, then `send(kind)`. */
class Output {
  constructor(fd) {
    this.fd = fd;
    this.buffer = Buffer.alloc(1 << 16);
    this.length = HEADER;
  }

  /** Give the offset of `size` more bytes. They hold whatever was there before. */
  room(size) {
    const at = this.length;
    this.length += size;
    if (this.length > this.buffer.length) {
      const old = this.buffer;
      this.buffer = Buffer.alloc(2 * this.length);
      old.copy(this.buffer, 0, 0, at);
    }
    return at;
  }

  send(kind) {
    this.buffer.writeUInt32LE(this.length - 4, 0);
    this.buffer[4] = kind.charCodeAt(0);
    this.write(this.buffer, this.length);
    this.clear();
  }

  /** Forget what is being built. */
  clear() {
    this.length = HEADER;
  }

  /** Send an object by itself; what is being built stays as it is. */
  sendObject(kind, object) {
    const text = Buffer.from(JSON.stringify(object));
    const frame = Buffer.alloc(HEADER + text.length);
    frame.writeUInt32LE(1 + text.length, 0);
    frame[4] = kind.charCodeAt(0);
    text.copy(frame, HEADER);
    this.write(frame, frame.length);
  }

  write(buffer, length) {
    try {
      for (let at = 0; at < length;) {
        at += insist(() => fs.writeSync(this.fd, buffer, at, length - at));
      }
    } catch (error) {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    }
  }
}

module.exports = { Input, Output };
