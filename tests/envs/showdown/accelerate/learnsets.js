'use strict';
// node learnsets.js PACKAGE ACCELERATE|- MOD...: what mods that are loaded in this order say can be learned.
// Prints JSON {isLoaded: whether a file of learnsets was read before anybody asked, digests: of all data of each mod}.

const crypto = require('crypto');
const path = require('path');

const [, , folder, accelerator, ...mods] = process.argv;
const part = name => require(path.join(folder, 'dist', 'sim', name));
const { Dex } = part('dex');
if (accelerator !== '-') require(accelerator).accelerate(folder, line => process.stderr.write(`${line}\n`));

const dexes = mods.map(mod => Dex.mod(mod));
for (const dex of dexes) dex.species.all();
const isLoaded = Object.keys(require.cache).some(file => file.endsWith(path.join('dist', 'data', 'learnsets.js')));
const digests = dexes.map(dex => {
  const { Learnsets } = dex.data;
  if (Learnsets !== dex.data.Learnsets || !Learnsets.pikachu.learnset) throw new Error('they are not kept');
  return crypto.createHash('sha256').update(JSON.stringify(dex.data)).digest('hex');
});
process.stdout.write(JSON.stringify({ isLoaded, digests }));
