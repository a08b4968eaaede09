'use strict';
// Teams that bring rare things together: random species, moves, items and abilities, many of them illegal in any
// standard format, and groups of moves and Pokemon between which something happens.

const NICKNAMES = ['3', '2', 'A vs. B', 'p2a: Mew', 'Charizard, L5', '[from] x', '0 fnt', "it's", 'Ho-Oh'];

// Each group gives a team a taste: half of its moves come from it.
const GROUPS = [
  ['batonpass', 'substitute', 'nastyplot', 'swordsdance', 'aquaring', 'ingrain', 'magnetrise', 'focusenergy'],
  ['transform', 'mimic', 'sketch', 'skillswap', 'roleplay', 'worryseed', 'gastroacid', 'simplebeam', 'entrainment'],
  ['trick', 'switcheroo', 'knockoff', 'thief', 'covet', 'fling', 'recycle', 'bestow', 'embargo', 'pluck', 'incinerate'],
  ['spikes', 'toxicspikes', 'stealthrock', 'stickyweb', 'rapidspin', 'defog', 'courtchange', 'tidyup', 'mortalspin'],
  ['raindance', 'sunnyday', 'sandstorm', 'hail', 'snowscape', 'electricterrain', 'grassyterrain', 'gravity', 'trickroom'],
  ['protect', 'detect', 'endure', 'spikyshield', 'kingsshield', 'banefulbunker', 'destinybond', 'maxguard'],
  ['soak', 'conversion', 'conversion2', 'camouflage', 'reflecttype', 'burnup', 'roost', 'forestscurse', 'trickortreat'],
  ['perishsong', 'curse', 'nightmare', 'leechseed', 'yawn', 'taunt', 'encore', 'disable', 'torment', 'healblock', 'imprison'],
  ['haze', 'psychup', 'heartswap', 'powerswap', 'guardswap', 'topsyturvy', 'clearsmog', 'bellydrum', 'spectralthief'],
  ['hyperbeam', 'solarbeam', 'fly', 'dig', 'skullbash', 'outrage', 'thrash', 'rollout', 'bide', 'uproar', 'iceball'],
  ['wrap', 'firespin', 'whirlpool', 'infestation', 'meanlook', 'spiritshackle', 'octolock', 'anchorshot', 'clamp'],
  ['uturn', 'voltswitch', 'partingshot', 'teleport', 'roar', 'whirlwind', 'dragontail', 'circlethrow', 'shedtail', 'chillyreception'],
  ['toxic', 'spore', 'thunderwave', 'willowisp', 'rest', 'sleeptalk', 'healbell', 'aromatherapy', 'refresh', 'psychoshift', 'junglehealing'],
  ['metronome', 'copycat', 'mirrormove', 'assist', 'naturepower', 'mefirst', 'sleeptalk', 'snatch', 'magiccoat', 'instruct'],
  ['reflect', 'lightscreen', 'auroraveil', 'safeguard', 'mist', 'tailwind', 'luckychant', 'wish', 'healingwish', 'lunardance', 'revivalblessing'],
];
const FORMS = [
  'Zoroark', 'Zoroark-Hisui', 'Zorua', 'Ditto', 'Mew', 'Smeargle', 'Castform', 'Cherrim', 'Darmanitan', 'Meloetta', 'Aegislash',
  'Wishiwashi', 'Minior', 'Mimikyu', 'Eiscue', 'Morpeko', 'Cramorant', 'Palafin', 'Zygarde', 'Greninja-Bond', 'Charizard',
  'Mewtwo', 'Rayquaza', 'Groudon', 'Kyogre', 'Necrozma-Dusk-Mane', 'Arceus', 'Silvally', 'Genesect', 'Giratina', 'Deoxys',
  'Rotom', 'Rotom-Wash', 'Porygon', 'Porygon-Z', 'Shaymin-Sky', 'Vivillon-Fancy', 'Gastrodon-East', 'Ogerpon-Wellspring',
  'Terapagos', 'Tatsugiri', 'Zacian', 'Blissey', 'Shedinja', 'Nidoran-F', 'Mr. Mime', "Farfetch'd", 'Type: Null', 'Indeedee-F',
];
const ABILITIES = [
  'illusion', 'imposter', 'trace', 'naturalcure', 'regenerator', 'pressure', 'protean', 'colorchange', 'forecast', 'mummy',
  'shadowtag', 'magnetpull', 'arenatrap', 'moody', 'unburden', 'pickpocket', 'magician', 'stancechange', 'zenmode', 'disguise',
  'schooling', 'shieldsdown', 'powerconstruct', 'receiver', 'wanderingspirit', 'neutralizinggas', 'symbiosis', 'harvest', 'cudchew',
  'earlybird', 'synchronize', 'drizzle', 'deltastream', 'electricsurge', 'flashfire', 'truant', 'multitype', 'iceface', 'gulpmissile',
  'poisonheal', 'shedskin', 'hydration', 'cottondown', 'commander', 'zerotohero', 'libero', 'opportunist', 'mirrorarmor', 'supersweetsyrup',
];

/** A seeded choice of things, by the simulator's own generator. */
class Fuzz {
  constructor(dex, prng) {
    const { gen } = dex;
    const isThere = thing =>
      thing.exists && thing.gen <= gen && (!thing.isNonstandard || thing.isNonstandard === 'Past');
    this.dex = dex;
    this.prng = prng;
    this.species = dex.species.all().filter(s => isThere(s) && s.num > 0 && isEntered(s));
    this.moves = dex.moves.all().filter(m => isThere(m) && !m.isZ && !m.isMax && !BARRED.has(m.id)).map(m => m.id);
    this.items = dex.items.all().filter(isThere).map(i => i.name);
    this.stones = dex.items.all().filter(i => isThere(i) && (i.megaStone || i.zMove));
    this.abilities = dex.abilities.all().filter(isThere).map(a => a.name);
    this.types = dex.types.names();
  }

  pick(list) {
    return list[this.prng.random(list.length)];
  }

  chance(n, of) {
    return this.prng.random(of) < n;
  }

  team() {
    const group = this.pick(GROUPS).filter(id => this.moves.includes(id));
    const size = 3 + this.prng.random(4);
    const team = [];
    while (team.length < size) {
      const set = this.set(group);
      // Two that nobody could tell apart are no one's to tell apart.
      if (!team.some(other => other.name === set.name && other.species === set.species)) team.push(set);
    }
    return team;
  }

  set(group) {
    const { gen } = this.dex;
    const species = this.chance(1, 3) ? this.form() : this.pick(this.species);
    const moves = new Set();
    while (moves.size < 4) moves.add(group.length && this.chance(1, 2) ? this.pick(group) : this.pick(this.moves));
    return {
      name: this.chance(1, 4) ? this.pick(NICKNAMES) : species.baseSpecies.slice(0, 18),
      species: species.name,
      item: gen < 2 || this.chance(1, 6) ? '' : this.item(species),
      ability: gen < 3 ? 'No Ability' : this.ability(species),
      moves: [...moves],
      nature: 'Serious',
      evs: { hp: 252, atk: 0, def: 252, spa: 0, spd: 252, spe: 4 * this.prng.random(60) },
      ivs: { hp: 30, atk: 30, def: 30, spa: 30, spd: 30, spe: 30 },
      level: 30 + this.prng.random(60),
      gender: species.gender || this.pick(['M', 'F']),
      teraType: this.pick(this.types),
    };
  }

  form() {
    const found = this.dex.species.get(this.pick(FORMS));
    return this.species.includes(found) ? found : this.pick(this.species);
  }

  item(species) {
    const fitting = this.stones.filter(i => i.itemUser && i.itemUser.includes(species.name));
    if (fitting.length && this.chance(3, 4)) return this.pick(fitting).name;
    return this.pick(this.items);
  }

  ability(species) {
    if (this.chance(1, 3)) return species.abilities['0'];
    const wanted = this.pick(ABILITIES);
    const found = this.chance(1, 2) ? this.dex.abilities.get(wanted) : null;
    return found && this.abilities.includes(found.name) ? found.name : this.pick(this.abilities);
  }
}

const BARRED = new Set(['struggle', 'recharge']);
const isEntered = s => !s.battleOnly && !s.isMega && !s.forme.includes('Gmax') && !s.forme.includes('Totem');

module.exports = { Fuzz };
