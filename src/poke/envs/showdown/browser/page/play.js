// What the game knows comes from `state`, which answers as soon as there is something new; clicks go to `choose`.
const KINDS = ["move", "mega", "z_move", "dynamax", "tera"];
const GIMMICK_VERBS = { mega: "Mega evolve", z_move: "Z-Move", dynamax: "Dynamax", tera: "Terastallize" };
const OUTCOMES = new Map([[1, "You won."], [0, "It is a draw."], [-1, "You lost."]]);
let state = { version: 0 }, kind = "move", sent = -1, picked = [];

function tell(place, numbers = {}) {
  return fetch(place, { method: "POST", body: JSON.stringify(numbers) }).catch(() => gone());
}

function gone() {
  byId("headline").textContent = "poke has ended: there is nobody to play with.";
  for (const button of document.querySelectorAll("button")) button.disabled = true;
}

async function follow() {
  for (;;) {
    let answer;
    try {
      answer = await fetch(`state?after=${state.version}`);
    } catch {
      return gone();
    }
    if (answer.status === 200) {
      state = await answer.json();
      draw();
    } else if (answer.status !== 204) {
      return gone();
    }
  }
}

// What is chosen goes by its rank: one action, or the team's places from the lead on.
function choose(...actions) {
  sent = state.number;
  picked = [];
  drawChoices();
  tell("choose", { number: state.number, ...Object.fromEntries(actions.map((action, i) => [i + 1, action])) });
}

function pick(place) {
  if (picked.includes(place)) picked = picked.filter((one) => one !== place);
  else if (picked.length < state.most) picked.push(place);
  drawChoices();
}

function draw() {
  const isOver = state.phase === "over";
  byId("title").textContent = `${state.names[0]} against ${state.names[1]}`;
  document.title = `${["choose", "order"].includes(state.phase) ? "● " : ""}poke: ${state.names[1]}`;
  if (state.phase !== "order") picked = [];
  const turn = state.turn ? `turn ${state.turn}` : "before the first turn";
  byId("headline").textContent = isOver ? ending() : `${state.format} · ${turn}`;
  byId("again").hidden = !isOver;
  byId("forfeit").hidden = isOver || state.phase === "starting";
  byId("thoughts").hidden = state.thoughts === null;
  byId("thoughts").href = `thoughts?battle=${state.thoughts}`;
  if (state.scene) {
    const { scene } = state;
    drawSide(byId("own"), state.names[0], scene.own, scene.left[0], scene.sides[0]);
    drawSide(byId("opponent"), state.names[1], scene.opponent, scene.left[1], [...scene.sides[1], ...scene.field]);
  } else {
    byId("own").replaceChildren();
    byId("opponent").replaceChildren();
  }
  drawChoices();
  const log = byId("log");
  log.replaceChildren(...logBlocks(state.log));
  log.scrollTop = log.scrollHeight;
}

function ending() {
  const shown = state.scene ? "Both teams are shown as they were at your last choice." : "";
  return [OUTCOMES.get(state.outcome) ?? "The battle was cut off.", state.note, shown].filter(Boolean).join(" ");
}

function drawChoices() {
  const isOrder = state.phase === "order";
  const isAsked = (isOrder || state.phase === "choose") && sent !== state.number;
  const options = isOrder || state.phase === "choose" ? state.options : [];
  const kinds = KINDS.filter((one) => options.some((option) => option.kind === one));
  if (!kinds.includes(kind)) kind = kinds[0] ?? "move";
  byId("choices").setAttribute("aria-busy", String(!isAsked));
  byId("choices").hidden = state.phase === "over";
  byId("choices-heading").textContent = !isAsked ? "Wait for the other side" : state.refusal ? `${state.refusal.replace(/\.?$/, "")}: choose again` : question(isOrder, kinds);
  byId("begin").hidden = !isOrder;
  byId("begin").disabled = !isAsked || !picked.length;
  byId("gimmicks").hidden = kinds.length < 2;
  byId("gimmicks").replaceChildren(...kinds.filter((one) => one !== "move").map((one) => element("button", {
    type: "button", "aria-pressed": String(one === kind), "data-kind": one,
    onclick: () => { kind = one === kind ? kinds[0] : one; drawChoices(); },
  }, options.find((option) => option.kind === one).verb ?? GIMMICK_VERBS[one])));
  const of = (wanted) => options.filter((option) => option.kind === wanted).map((option) => choiceButton(option, isAsked));
  byId("moves").replaceChildren(...(kinds.length ? of(kind) : []));
  byId("switches").replaceChildren(...of("switch"), ...(isOrder ? options.map((option) => leadButton(option, isAsked)) : []));
}

function question(isOrder, kinds) {
  if (!isOrder) return kinds.length ? "What will you do?" : "Whom do you send in?";
  if (!picked.length) return "Who leads?";
  return picked.length < state.most ? "Who comes next? Whom you do not choose follows as in your team." : "This is your order";
}

function leadButton(option, isAsked) {
  const rank = picked.indexOf(option.action) + 1;
  return element("button", {
    type: "button", class: "choice", "data-action": option.action, disabled: !isAsked, "aria-pressed": String(rank > 0), onclick: () => pick(option.action),
  },
  element("strong", {}, rank ? `${rank}. ${option.label}` : option.label),
  element("span", { class: "faint" }, option.detail));
}

function choiceButton(option, isAsked) {
  const one = option.kind === "switch" ? state.scene.own[option.action] : null;
  return element("button", {
    type: "button", class: "choice", "data-action": option.action, disabled: !isAsked, onclick: () => choose(option.action),
  },
  element("strong", {}, option.label),
  one ? element("span", { class: "faint" }, option.detail, statusBadge(one)) : element("span", { class: "faint" }, typeChip(option.type), option.detail),
  one ? hpBar(one) : null);
}

byId("begin").addEventListener("click", () => choose(...picked));
byId("again").addEventListener("click", () => tell("again"));
byId("forfeit").addEventListener("click", () => { if (confirm("Give this battle up?")) tell("forfeit"); });
follow();
