'use strict';
// Random numbers: the simulator encrypts 36 zero bytes with a new ChaCha20 cipher for each of them.

const NONCE = new Uint32Array(Uint8Array.from('LibsodiumDRG', c => c.charCodeAt(0)).buffer);

/**
 * The 20 rounds of ChaCha20 (RFC 8439) over 16 words that are local variables, the fastest form there is, written
 * out from the RFC's table; the words go in and come out by an Int32Array.
 */
function makeRounds() {
  const quarters = [
    [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], // columns
    [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14], // diagonals
  ];
  const half = (a, b, d, left) =>
    `x${a} = x${a} + x${b} | 0; x${d} ^= x${a}; x${d} = x${d} << ${left} | x${d} >>> ${32 - left};`;
  const steps = quarters.flatMap(([a, b, c, d]) => [half(a, b, d, 16), half(c, d, b, 12), half(a, b, d, 8), half(c, d, b, 7)]);
  const words = [...Array(16).keys()];
  return new Function('x', `
    let ${words.map(i => `x${i} = x[${i}]`).join(', ')};
    for (let i = 0; i < 10; i++) { ${steps.join(' ')} }
    ${words.map(i => `x[${i}] = x${i};`).join(' ')}`);
}

/**
 * SodiumRNG.next: the key stream's first block alone, which is what encrypting zeros gives: bytes 0-31 are the next
 * seed, bytes 32-35 the number. The counter is 0. Words are little-endian, as on every machine that runs node.
 */
function makeNext() {
  const rounds = makeRounds();
  const input = new Int32Array(16);
  input.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]); // "expand 32-byte k"
  input.set(NONCE, 13);
  const key = new Uint8Array(input.buffer, 16, 32);
  const block = new Int32Array(16);
  const bytes = new Uint8Array(block.buffer);
  return function next() {
    key.set(this.seed);
    block.set(input);
    rounds(block);
    for (let i = 0; i < 9; i++) block[i] += input[i];
    this.seed = bytes.slice(0, 32);
    return bytes[32] * 2 ** 24 + ((bytes[33] << 16) | (bytes[34] << 8) | bytes[35]);
  };
}

module.exports = [{ name: 'SodiumRNG.next', reads: [], make: makeNext }];
