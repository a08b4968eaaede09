// What every part of the page uses: the data, elements, colours and numbers. All text goes in as text.
let data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const hidden = new Set(); // labels of the curves that are switched off

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function shape(name, attributes = {}, text = null) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

// Ten hues far apart; the groups after the tenth get them again with dashes.
const HUES = [255, 45, 150, 330, 90, 200, 15, 295, 120, 225];
const places = new Map(); // a label keeps the colour that it was first shown in, whatever comes before it later
function placeOf(label) {
  if (!places.has(label)) places.set(label, places.size);
  return places.get(label);
}
const colour = (label) => `oklch(var(--shade) var(--colour) ${HUES[placeOf(label) % HUES.length]})`;
const dashes = (label) => ["none", "7 4", "2 4", "10 3 2 3"][Math.floor(placeOf(label) / HUES.length) % 4];
const swatch = (label) => element("span", { class: "swatch", style: `background:${colour(label)}`, "aria-hidden": "true" });

function show(value, digits = 4) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  const short = Number(value.toPrecision(digits));
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return short.toExponential().replace("e+", "e");
  return String(short);
}

function duration(seconds) {
  if (seconds < 120) return `${show(seconds)} s`;
  if (seconds < 7200) return `${show(seconds / 60)} min`;
  return `${show(seconds / 3600)} h`;
}

// Round numbers that divide a range into about `count` parts.
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= 0.75 * rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const factor of high - low > 2 ? [1] : [1, 2, 5]) {
      const value = power + Math.log10(factor);
      if (value >= low - 1e-9 && value <= high + 1e-9) found.push(value);
    }
  }
  return found.length > 1 ? found : ticks(low, high, 4);
}
