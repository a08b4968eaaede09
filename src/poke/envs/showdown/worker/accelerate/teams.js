'use strict';
// Random teams: making a generator of teams looks through all moves of a generation, for each battle.

/**
 * Battle.getTeam lends the same generator to one battle of a format after another. Whatever a generator's own fields
 * held when it was made they hold again when it is lent, and those it got since are gone (gen 1 notes in
 * one that the battle has a Ditto); then it is seeded, as getTeam itself does for the second player.
 * It is lent anew only when the last battle has both its teams: until then another battle makes its own.
 */
function makeGetTeam(original, { Teams }, isPlain) {
  const generators = new WeakMap();
  return function getTeam(options) {
    if (this.teamGenerator || options.team || !options.seed || !isPlain(this)) return original.call(this, options);
    const known = generators.get(this.format);
    if (known === undefined) {
      const team = original.call(this, options);
      // Its fields are as new once it is told to forget: see below. Made apart, as a team has been drawn from this one.
      const generator = Teams.getGenerator(this.format, options.seed);
      generators.set(this.format, { generator, fields: { ...generator }, borrower: null });
      return team;
    }
    const { generator, fields, borrower } = known;
    if (borrower !== null && !borrower.started) return original.call(this, options);
    for (const field of Object.keys(generator)) if (!Object.hasOwn(fields, field)) delete generator[field];
    known.borrower = this;
    this.teamGenerator = Object.assign(generator, fields);
    return original.call(this, options);
  };
}

module.exports = [{ name: 'Battle.getTeam', reads: ['Battle.setPlayer', 'Battle.start'], make: makeGetTeam }];
