'use strict';
// What a request lets its player choose: a mask of 26 actions, and the text of a choice.

function legal(request) {
  let mask = 0;
  const { pokemon } = request.side;
  const active = request.active && request.active[0];
  if (active) {
    active.moves.slice(0, 4).forEach((move, i) => {
      if (!move.disabled) mask |= 1 << (6 + i);
    });
  }
  const revives = pokemon.some(one => one.reviving);
  if (!active || !active.trapped) {
    pokemon.forEach((one, i) => {
      const fainted = one.condition.endsWith(' fnt');
      if (!one.active && fainted === revives) mask |= 1 << i;
    });
  }
  return mask;
}

function choice(request, action) {
  return action < 6 ? `switch ${action + 1}` : `move ${action - 5}`;
}

function refuse(request, action, error) {
  return request;
}

module.exports = { legal, choice, refuse };
