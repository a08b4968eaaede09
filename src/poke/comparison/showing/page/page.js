// Puts the parts together and redraws them when a switch is moved, the window changes or there is news.
function draw() {
  drawCurves();
  drawParallel();
}

function drawAll() {
  byId("title").textContent = data.metric;
  document.title = `${data.metric}: comparison`;
  byId("headline").textContent = data.headline.slice(data.headline.indexOf(":") + 2);
  const list = (texts) => texts.map((text) => element("li", {}, text));
  byId("footnotes").replaceChildren(...list(data.footnotes));
  byId("notes").hidden = data.notes.length === 0;
  byId("notes").querySelector("ul").replaceChildren(...list(data.notes));
  byId("equal").hidden = data.equal.length === 0;
  byId("equal").querySelector("summary").textContent = `${data.equal.length} settings are equal in all runs`;
  byId("equal").querySelector("dl").replaceChildren(...data.equal.map(([key, value]) =>
    element("div", {}, element("dt", {}, key), element("dd", {}, value))));
  const timed = drawn().some((group) => group.curve.seconds.some((value) => value !== null));
  document.querySelector('input[value="seconds"]').disabled = !timed;
  drawTable();
  drawOthers();
  drawLegend();
  draw();
}

for (const input of document.getElementsByName("axis")) {
  input.addEventListener("change", () => { settings.axis = input.value; draw(); });
}
byId("log").addEventListener("change", (event) => { settings.log = event.target.checked; draw(); });
byId("smoothing").addEventListener("input", (event) => { settings.smoothing = Number(event.target.value); draw(); });
const chart = byId("chart");
chart.addEventListener("pointermove", followPointer);
chart.addEventListener("pointerdown", followPointer);
chart.addEventListener("pointerleave", hideCross);
chart.addEventListener("keydown", followKeys);
chart.addEventListener("blur", hideCross);
window.addEventListener("resize", draw);
drawAll();
