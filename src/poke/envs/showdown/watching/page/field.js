// The two teams as a player knows them, and the log.
const HUES = {
  Bug: 115, Dark: 40, Dragon: 285, Electric: 95, Fairy: 340, Fighting: 30, Fire: 45, Flying: 265, Ghost: 300,
  Grass: 140, Ground: 75, Ice: 205, Normal: 90, Poison: 320, Psychic: 5, Rock: 85, Steel: 240, Water: 250, Stellar: 180,
};
const GREYS = new Set(["Normal", "Dark", "Rock", "Steel"]);
const STATUSES = { BRN: "burned", FRZ: "frozen", PAR: "paralysed", PSN: "poisoned", SLP: "asleep", TOX: "badly poisoned" };

function typeChip(type) {
  const colour = `oklch(0.66 ${GREYS.has(type) ? 0.04 : 0.16} ${HUES[type] ?? 90})`;
  return element("span", { class: "type" }, element("i", { style: `background:${colour}` }), type);
}

function hpBar(one) {
  const level = one.hp > 50 ? "high" : one.hp > 20 ? "middle" : "low";
  return element("div", { class: "hp", role: "img", "aria-label": `${one.hp} % HP` },
    element("div", { class: level, style: `width:${one.hp}%` }));
}

function statusBadge(one) {
  if (one.fainted) return element("span", { class: "badge out" }, "fainted");
  return one.status ? element("span", { class: `badge ${one.status}`, title: STATUSES[one.status] }, one.status) : null;
}

function headOf(one) {
  return element("div", { class: "head" },
    element("strong", {}, one.name),
    element("span", { class: "faint level" }, `L${one.level}`),
    statusBadge(one),
    element("span", { class: "percent" }, one.fainted ? "" : `${one.hp} %`));
}

function chips(one) {
  const boosts = one.boosts.map(([stat, n]) => element("span", { class: n > 0 ? "chip up" : "chip down" }, `${n > 0 ? "+" : "−"}${Math.abs(n)} ${stat}`));
  const effects = one.effects.map((effect) => element("span", { class: "chip" }, effect));
  return boosts.length + effects.length ? element("div", { class: "chips" }, ...boosts, ...effects) : null;
}

function moveRow(move) {
  const facts = [move.power ? `${move.power} power` : "status", move.accuracy < 100 ? `${move.accuracy} % sure` : null];
  return element("li", { title: facts.filter(Boolean).join(", ") },
    element("span", {}, move.name), typeChip(move.type), element("span", { class: "faint pp" }, `${move.pp} % PP`));
}

function properties(one) {
  const known = [one.ability, one.item, one.tera && `${one.terastallized ? "terastallized:" : "Tera"} ${one.tera}`].filter(Boolean);
  return known.length ? element("p", { class: "faint known" }, known.join(" · ")) : null;
}

function activeCard(one) {
  return element("article", { class: "active" },
    headOf(one), hpBar(one),
    element("div", { class: "types" }, ...one.types.map(typeChip)),
    chips(one), properties(one),
    one.moves.length ? element("ul", { class: "moves" }, ...one.moves.map(moveRow)) : null);
}

// The bench: small, all that is known of it on opening.
function benchRow(one) {
  const row = element("summary", {}, headOf(one), hpBar(one));
  return element("details", { class: one.fainted ? "bench out" : "bench" }, row,
    element("div", { class: "types" }, ...one.types.map(typeChip)),
    properties(one),
    one.moves.length ? element("ul", { class: "moves" }, ...one.moves.map(moveRow)) : null);
}

function drawSide(place, title, team, left, conditions) {
  const active = team.find((one) => one.active);
  const unseen = left - team.filter((one) => !one.fainted).length;
  place.replaceChildren(
    element("h2", {}, element("span", { class: "name" }, title), element("span", { class: "faint" }, `${left} left`)),
    active ? activeCard(active) : element("article", { class: "active empty faint" }, "nobody in battle"),
    ...(conditions.length ? [element("p", { class: "chips" }, ...conditions.map((text) => element("span", { class: "chip" }, text)))] : []),
    ...team.filter((one) => one !== active).map(benchRow),
    ...(unseen > 0 ? [element("p", { class: "unseen faint" }, `${unseen} not seen yet`)] : []));
}

// Each turn's lines in a block of its own; onTurn(index of its first line) where a heading is clicked.
function logBlocks(log, onTurn) {
  const blocks = [element("div", { class: "turn" })];
  log.forEach(([kind, text], i) => {
    if (kind === "turn") {
      const heading = onTurn ? element("button", { type: "button", onclick: () => onTurn(i) }, text) : text;
      blocks.push(element("div", { class: "turn" }, element("h3", {}, heading)));
    } else {
      blocks.at(-1).append(element("p", { class: kind, "data-line": i }, text));
    }
  });
  return blocks.filter((block) => block.childElementCount);
}
