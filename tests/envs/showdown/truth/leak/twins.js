'use strict';
// Other teams that a player could not tell from the one it meets, for a while: each changes one kind of thing.

const { clone } = require('./worlds');

class Twins {
  /**
   * @param fuzz a Fuzz, which draws what is put in
   * @param options whether players see the other's team before the battle; whether they see exact HP
   */
  constructor(fuzz, { hasPreview, showsHP }) {
    this.fuzz = fuzz;
    this.hasPreview = hasPreview;
    this.showsHP = showsHP;
  }

  /**
   * @param team that another player met
   * @param shown ids of the moves that were used in that battle
   * @returns teams by what is different in them
   */
  of(team, shown) {
    const { fuzz } = this;
    const { gen } = fuzz.dex;
    const changed = change => team.map((set, i) => ({ ...clone(set), ...change(set, i) }));
    const twins = {
      moves: changed(set => ({ moves: this.otherMoves(set, shown) })),
      spread: changed(set => this.otherSpread(set)),
    };
    if (gen >= 2) twins.item = changed(() => ({ item: fuzz.pick(fuzz.items) }));
    if (gen >= 3) twins.ability = changed(() => ({ ability: fuzz.pick(fuzz.abilities) }));
    if (gen >= 9) twins.tera = changed(() => ({ teraType: fuzz.pick(fuzz.types) }));
    if (!this.hasPreview) {
      twins.bench = changed((_, i) => (i ? fuzz.set([]) : {}));
      if (gen >= 5) twins.illusion = this.disguise(team);
    }
    return twins;
  }

  otherMoves(set, shown) {
    const { dex, moves } = this.fuzz;
    return set.moves.map(name => (shown.has(dex.moves.get(name).id) ? name : this.fuzz.pick(moves)));
  }

  otherSpread(set) {
    const { prng, dex } = this.fuzz;
    const spread = { evs: {}, ivs: {} };
    for (const stat of ['atk', 'def', 'spa', 'spd', 'spe', 'hp']) {
      const isKept = stat === 'hp' && this.showsHP;
      spread.evs[stat] = isKept ? set.evs.hp : 4 * prng.random(64);
      spread.ivs[stat] = isKept ? set.ivs.hp : 2 * prng.random(16);
    }
    return dex.gen < 3 && this.showsHP ? {} : spread; // there HP follow from the other values
  }

  /** Its first Pokemon comes last, and a Zoroark that looks like it comes first. */
  disguise(team) {
    const [first, ...rest] = clone(team);
    const zoroark = { ...clone(first), name: 'Zoroark', species: 'Zoroark', ability: 'Illusion', item: '' };
    return [zoroark, ...rest.slice(0, 4), first];
  }
}

module.exports = { Twins };
