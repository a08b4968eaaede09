'use strict';
// Which formats are played, by which rules and with which teams. What is not played is refused by name before a
// battle starts: the simulator itself starts generation 9 without rules for an unknown name, and never looks
// at a team.

const path = require('path');

const { accelerate } = require('./accelerate');

const STANDARD = /^gen[1-9]$/; // mods of these names are the games as they were; all others change them
const TEAM_SIZE = 6;

class Refused extends Error {}

/** The parts of the package that a battle needs. */
function loadSimulator(folder) {
  const part = name => require(path.join(folder, 'dist', 'sim', name));
  return {
    ...part('battle'), ...part('dex'), ...part('prng'), ...part('teams'), ...part('team-validator'),
  };
}

/** The same for who plays no battles but reads them: learnsets wait until somebody asks for them. */
function loadForReading(folder) {
  accelerate(folder, () => {}, ['ModdedDex.loadData']);
  return loadSimulator(folder);
}

function findFormat(simulator, name) {
  const { Dex } = simulator;
  const format = Dex.formats.get(name);
  if (!format.exists || format.effectType !== 'Format' || format.id !== name) {
    const known = Dex.formats.all().filter(other => !whyNot(Dex, other)).map(other => other.id);
    throw Object.assign(new Refused(`format ${name} is unknown`), { known });
  }
  const why = whyNot(Dex, format);
  if (why) throw new Refused(`format ${name} is not played: ${why}`);
  return format;
}

function whyNot(Dex, format) {
  if (format.gameType !== 'singles') return `it is ${format.gameType}, only singles are`;
  if (!STANDARD.test(format.mod)) return `it changes the games (mod ${format.mod})`;
  if (format.debug) return 'it is a custom game, which has no rules and shows exact HP';
  const { maxTeamSize } = Dex.formats.getRuleTable(format);
  if (maxTeamSize > TEAM_SIZE) return `its teams have up to ${maxTeamSize} Pokemon`;
  return '';
}

/** The dex of a format, or of a generation: 'gen1randombattle', 'gen1'. */
function dexOf(simulator, name) {
  const { Dex } = simulator;
  return STANDARD.test(name) ? Dex.mod(name) : Dex.forFormat(findFormat(simulator, name));
}

/** Packed teams of a text in Showdown's export or packed format, each valid in the format. */
function readTeams(simulator, format, { name, text }) {
  const validator = simulator.TeamValidator.get(format);
  const teams = splitTeams(text).map((block, i) => {
    const team = simulator.Teams.import(block);
    if (!team || !team.length) throw new Refused(`${name}: team ${i + 1} cannot be read`);
    const problems = validator.validateTeam(team);
    if (problems) {
      throw new Refused(`${name}: team ${i + 1} is not valid in ${format.id}: ${problems[0]}`);
    }
    return simulator.Teams.pack(team);
  });
  if (!teams.length) throw new Refused(`${name} holds no team`);
  return teams;
}

/** A packed team is a line, perhaps after 'format]name|'; exported ones stand below '=== name ===' lines. */
function splitTeams(text) {
  const lines = text.split(/\r?\n/);
  if (lines.some(isPacked)) {
    return lines.filter(line => line.trim()).map(line => line.replace(/^[^|\]]*\][^|]*\|/, ''));
  }
  return text.split(/^===.*===\s*$/m).filter(block => block.trim());
}

function isPacked(line) {
  return line.split('|').length >= 11;
}

/** The packed teams that a format is played with, null where it draws its own. */
function teamsOf(simulator, format, teams) {
  if (format.team && teams) throw new Refused(`format ${format.id} draws its own teams: leave out teams`);
  if (!format.team && !teams) throw new Refused(`format ${format.id} needs a file of teams`);
  return teams ? readTeams(simulator, format, teams) : null;
}

/**
 * What all battles of a worker have in common.
 *
 * @param {object} simulator of `loadSimulator`
 * @param {string} name of the format
 * @param {?{name: string, text: string}} teams a file of teams, for formats that are played with own ones
 */
function rulesOf(simulator, name, teams) {
  const format = findFormat(simulator, name);
  const packed = teamsOf(simulator, format, teams);
  return {
    simulator,
    format,
    dex: simulator.Dex.forFormat(format),
    /** What `setPlayer` takes to give a player the team that this seed draws. */
    team(seed) {
      if (!packed) return { seed };
      return { team: new simulator.PRNG(seed).sample(packed) };
    },
  };
}

module.exports = { Refused, loadSimulator, loadForReading, findFormat, dexOf, teamsOf, rulesOf };
