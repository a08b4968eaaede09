// The slider moves through the decisions of a battle; the address remembers where we are: #battle/decision.
const OUTCOMES = new Map([[1, "won"], [0, "drew"], [-1, "lost"], [null, "was cut off"]]);
let battles = [], battle = null, number = 0, at = 0, moveMark = null;

async function unpack() {
  const bytes = Uint8Array.from(atob(byId("data").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const nameOf = (one) => one.agent || one.names[0] || "the player";
const opponentOf = (one) => one.opponent || one.names[1] || "an opponent";
const summary = (one) => `${OUTCOMES.get(one.outcome)} in ${one.turns} turn${one.turns === 1 ? "" : "s"}`;

function open(which, decision) {
  number = Math.min(Math.max(which, 0), battles.length - 1);
  battle = battles[number];
  byId("battles").value = String(number);
  byId("title").textContent = `${nameOf(battle)} against ${opponentOf(battle)}`;
  byId("headline").textContent = `${summary(battle)} · ${battle.format}`;
  document.title = `poke: ${nameOf(battle)} against ${opponentOf(battle)}`;
  byId("slider").max = String(Math.max(0, battle.scenes.length - 1));
  const turnOf = (line) => battle.scenes.findIndex((scene) => scene.at > line);
  byId("log").replaceChildren(...logBlocks(battle.log, (line) => show(turnOf(line) < 0 ? battle.scenes.length - 1 : turnOf(line))));
  redraw();
  show(decision);
}

function redraw() {
  const values = battle.scenes.map((scene) => scene.value);
  byId("value").hidden = values.every((value) => value === null);
  moveMark = byId("value").hidden ? () => {} : drawCurve(byId("curve"), values, show);
}

function show(decision) {
  at = Math.min(Math.max(decision, 0), battle.scenes.length - 1);
  if (at < 0) {
    byId("where").textContent = "There was nothing to choose in this battle.";
    return;
  }
  const scene = battle.scenes[at];
  byId("slider").value = String(at);
  byId("slider").setAttribute("aria-valuetext", `turn ${scene.turn}`);
  const field = scene.field.length ? ` · ${scene.field.join(", ")}` : "";
  byId("where").textContent = `Turn ${scene.turn} · decision ${at + 1} of ${battle.scenes.length}${field}`;
  byId("back").disabled = at === 0;
  byId("on").disabled = at === battle.scenes.length - 1;
  drawSide(byId("own"), battle.names[0] || "own team", scene.own, scene.left[0], scene.sides[0]);
  drawSide(byId("opponent"), battle.names[1] || "opponent", scene.opponent, scene.left[1], scene.sides[1]);
  drawOptions(scene);
  moveMark(at);
  markLog(scene.at, battle.scenes[at + 1]?.at ?? battle.log.length);
  history.replaceState(null, "", `#${number + 1}/${at + 1}`);
}

function drawOptions(scene) {
  byId("options").replaceChildren(...scene.options.map((option) => element("li", { class: option.chosen ? "chosen" : null },
    element("span", { class: "label" },
      option.kind === "switch" ? element("span", { class: "faint" }, "switch to ") : null, option.label,
      GIMMICKS[option.kind] ? element("span", { class: "chip gimmick" }, GIMMICKS[option.kind]) : null),
    ...(option.probability === null ? [] : [
      element("div", { class: "bar" }, element("div", { style: `width:${100 * option.probability}%` })),
      element("span", { class: "number" }, percent(option.probability)),
    ]))));
  const remarks = [
    scene.options.length === 1 ? "It was the only choice." : scene.options[0].probability === null ? "Nobody tells what was thought." : "",
    scene.refused ? "The choice before was refused." : "",
    scene.value === null ? "" : `Value ${scene.value < 0 ? "−" : "+"}${Math.abs(scene.value).toFixed(2)}.`,
  ];
  byId("remark").textContent = remarks.filter(Boolean).join(" ");
}

// What came of the choice is marked, and brought into view within the log alone.
function markLog(from, to) {
  const log = byId("log");
  let first = null;
  for (const line of log.querySelectorAll("p")) {
    const isNow = +line.dataset.line >= from && +line.dataset.line < to;
    line.classList.toggle("now", isNow);
    if (isNow) first ??= line;
  }
  const before = first?.previousElementSibling;
  const top = before?.tagName === "H3" ? before : first;
  if (top) log.scrollTop += top.getBoundingClientRect().top - log.getBoundingClientRect().top;
}

function goWhereTheAddressSays() {
  const [which = 1, decision = 1] = location.hash.slice(1).split("/").map((text) => parseInt(text, 10) || 1);
  open(which - 1, decision - 1);
}

byId("slider").addEventListener("input", (event) => show(+event.target.value));
byId("back").addEventListener("click", () => show(at - 1));
byId("on").addEventListener("click", () => show(at + 1));
byId("battles").addEventListener("change", (event) => open(+event.target.value, 0));
addEventListener("hashchange", goWhereTheAddressSays);
addEventListener("resize", () => { redraw(); moveMark(at); });
addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: battle.scenes.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  show(to);
});

unpack().then((data) => {
  battles = data.battles;
  byId("choose").hidden = battles.length < 2;
  byId("battles").replaceChildren(...battles.map((one, i) =>
    element("option", { value: i }, `${i + 1}: ${opponentOf(one)}, ${summary(one)}`)));
  goWhereTheAddressSays();
});
