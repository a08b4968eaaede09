'use strict';
// What each species can learn, from which source in which generation: four megabytes of source, which take about half of
// a worker's start to read and which only teams of a file are checked by.

const TYPE = 'Learnsets';

/**
 * ModdedDex.loadData leaves learnsets to when somebody first asks for them.
 *
 * Until then `data.Learnsets` is a getter. It reads a mod's file and adds what its parent has, by loadData's own rules.
 * Meanwhile loadData sees neither file nor parent, and so puts nothing or an empty object there. A mod whose `init`
 * speaks of learnsets is loaded as ever.
 */
function makeLoadData(original, { ModdedDex }) {
  const { loadDataFile } = ModdedDex.prototype;
  let loading = false;

  function withParents(dex) {
    const own = loadDataFile.call(dex, `${dex.dataDir}/`, TYPE);
    if (!dex.parentMod) return own;
    const parents = dex.mod(dex.parentMod).data[TYPE];
    if (!own && !dex.data.Scripts.init) return parents;
    const all = own || {};
    for (const id in parents) {
      if (all[id] === null) delete all[id];
      else if (!(id in all)) all[id] = parents[id];
      else if (all[id]?.inherit) {
        delete all[id].inherit;
        all[id] = { ...parents[id], ...all[id] };
      }
    }
    return all;
  }

  function load(dex, isLate) {
    const before = loading;
    loading = isLate;
    if (isLate) dex.loadDataFile = (folder, type) => (type === TYPE ? undefined : loadDataFile.call(dex, folder, type));
    try {
      return original.call(dex);
    } finally {
      loading = before;
      if (isLate) delete dex.loadDataFile;
    }
  }

  return function loadData() {
    if (this.dataCache) return this.dataCache;
    const { init } = loadDataFile.call(this, `${this.dataDir}/`, 'Scripts') || {};
    const isLate = !/learnset/i.test(String(init));
    const data = load(this, isLate);
    if (isLate) {
      const keep = value => {
        Object.defineProperty(data, TYPE, { value, writable: true, enumerable: true, configurable: true });
        return value;
      };
      Object.defineProperty(data, TYPE, {
        get: () => (loading ? undefined : keep(withParents(this))),
        set: keep,
        enumerable: true,
        configurable: true,
      });
    }
    return data;
  };
}

module.exports = [{ name: 'ModdedDex.loadData', reads: ['ModdedDex.loadDataFile'], make: makeLoadData }];
