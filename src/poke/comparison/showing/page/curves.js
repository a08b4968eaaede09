// Learning curves by group, with bands, a legend that switches them, and values under the pointer or the arrow keys.
const MARGIN = { top: 12, right: 14, bottom: 34, left: 58 };
const settings = { axis: "steps", log: false, smoothing: 0 };
let view = null; // what is drawn: scales and curves, for the pointer

// An exponential mean whose first value is the first point, so that it is not drawn towards zero.
function smooth(values, weight) {
  let last = values[0];
  return values.map((value) => (last = weight * last + (1 - weight) * value));
}

// Groups, then the runs at work that are not averaged yet.
const drawn = () => [...data.groups, ...data.running];

function visibleCurves() {
  const usable = (value) => value !== null && (!settings.log || value > 0);
  return drawn().flatMap((group) => {
    if (hidden.has(group.label)) return [];
    const { n, mean } = group.curve;
    const raw = { ...group.curve, low: group.curve.low ?? mean, high: group.curve.high ?? mean };
    const keep = raw.mean.map((_, at) => at).filter((at) => raw[settings.axis][at] !== null && usable(raw.low[at]) && usable(raw.mean[at]));
    if (!keep.length) return [];
    const part = (name) => smooth(keep.map((at) => raw[name][at]), settings.smoothing);
    return [{ group, x: keep.map((at) => raw[settings.axis][at]), n: keep.map((at) => n[at]), mean: part("mean"), low: part("low"), high: part("high") }];
  });
}

function drawCurves() {
  const svg = byId("chart");
  const { width, height } = svg.getBoundingClientRect();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const curves = visibleCurves();
  svg.setAttribute("aria-label", `${data.metric} by ${settings.axis === "steps" ? "step" : "time"}, ${curves.length} curves`);
  view = null;
  hideCross();
  if (!curves.length) {
    svg.append(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no curve to show"));
    return;
  }
  const scaled = (value) => (settings.log ? Math.log10(value) : value);
  const extent = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  let [left, right] = extent(curves.flatMap((curve) => curve.x));
  let [bottom, top] = extent(curves.flatMap((curve) => [...curve.low, ...curve.high].map(scaled)));
  if (left === right) [left, right] = [left - 0.5, right + 0.5];
  const pad = (top - bottom) * 0.04 || Math.abs(top) * 0.1 || 1;
  [bottom, top] = [bottom - pad, top + pad];
  const px = (value) => MARGIN.left + ((value - left) / (right - left)) * (width - MARGIN.left - MARGIN.right);
  const py = (value) => height - MARGIN.bottom - ((scaled(value) - bottom) / (top - bottom)) * (height - MARGIN.top - MARGIN.bottom);
  drawGrid(svg, { left, right, bottom, top, px, width, height });
  const line = (xs, ys) => xs.map((x, at) => `${px(x).toFixed(1)},${py(ys[at]).toFixed(1)}`);
  for (const curve of curves) {
    const band = [...line(curve.x, curve.high), ...line(curve.x, curve.low).reverse()];
    svg.append(shape("path", { class: "band", d: `M${band.join("L")}Z`, fill: colour(curve.group.label) }));
  }
  for (const curve of curves) {
    svg.append(shape("path", {
      class: curve.group.settings ? "curve" : "curve young", "data-group": curve.group.label, d: `M${line(curve.x, curve.mean).join("L")}`,
      stroke: colour(curve.group.label), "stroke-dasharray": dashes(curve.group.label), "stroke-linecap": "round",
    }));
  }
  const xs = [...new Set(curves.flatMap((curve) => curve.x))].sort((first, second) => first - second);
  view = { curves, xs, px, py, width, at: null };
}

function drawGrid(svg, { left, right, bottom, top, px, width, height }) {
  const inside = height - MARGIN.top - MARGIN.bottom;
  const y = (value) => height - MARGIN.bottom - ((value - bottom) / (top - bottom)) * inside;
  for (const value of settings.log ? logTicks(bottom, top) : ticks(bottom, top, Math.max(4, inside / 50))) {
    svg.append(shape("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
    svg.append(shape("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, show(settings.log ? 10 ** value : value)));
  }
  const unit = settings.axis === "steps" ? 1 : right < 120 ? 1 : right < 7200 ? 60 : 3600;
  for (const value of ticks(left / unit, right / unit, Math.max(2, width / 110))) {
    svg.append(shape("text", { x: px(value * unit), y: height - MARGIN.bottom + 18, "text-anchor": "middle" }, show(value)));
  }
  const label = settings.axis === "steps" ? "step" : { 1: "seconds", 60: "minutes", 3600: "hours" }[unit];
  svg.append(shape("text", { x: width - MARGIN.right, y: height - 2, "text-anchor": "end" }, label));
}

// The point of a curve nearest to x.
function nearest(curve, x) {
  let low = 0;
  let high = curve.x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (curve.x[middle] < x) low = middle;
    else high = middle;
  }
  return x - curve.x[low] <= curve.x[high] - x ? low : high;
}

function moveCross(place) {
  if (!view) return;
  hideCross();
  view.at = Math.max(0, Math.min(view.xs.length - 1, place));
  const svg = byId("chart");
  const x = view.xs[view.at];
  const height = svg.getBoundingClientRect().height;
  const cross = shape("g", { id: "cross" });
  cross.append(shape("line", { class: "cross", x1: view.px(x), x2: view.px(x), y1: MARGIN.top, y2: height - MARGIN.bottom }));
  const where = settings.axis === "steps" ? `step ${x}` : duration(x);
  const lines = view.curves
    .filter((curve) => x >= curve.x[0] && x <= curve.x[curve.x.length - 1])
    .map((curve) => ({ curve, at: nearest(curve, x) }))
    .sort((first, second) => second.curve.mean[second.at] - first.curve.mean[first.at])
    .map(({ curve, at }) => {
      cross.append(shape("circle", { class: "dot", r: 4, cx: view.px(curve.x[at]), cy: view.py(curve.mean[at]), fill: colour(curve.group.label) }));
      const some = curve.n[at] < curve.group.n ? ` (${curve.n[at]} of ${curve.group.n} runs)` : "";
      return { curve, text: `${show(curve.mean[at])}${some}` };
    });
  svg.append(cross);
  const box = byId("tooltip");
  box.replaceChildren(element("strong", {}, where), ...lines.map(({ curve, text }) =>
    element("div", {}, element("span", {}, swatch(curve.group.label), curve.group.label), element("span", {}, text))));
  box.hidden = false;
  const right = view.px(x) > view.width / 2;
  box.style.left = right ? "auto" : `${view.px(x) + 14}px`;
  box.style.right = right ? `${view.width - view.px(x) + 14}px` : "auto";
  byId("reading").textContent = `${where}: ${lines.map(({ curve, text }) => `${curve.group.label} ${text}`).join("; ")}`;
}

function hideCross() {
  byId("cross")?.remove();
  byId("tooltip").hidden = true;
}

function followPointer(event) {
  if (!view) return;
  const x = event.clientX - byId("chart").getBoundingClientRect().left;
  let best = 0;
  view.xs.forEach((value, at) => {
    if (Math.abs(view.px(value) - x) < Math.abs(view.px(view.xs[best]) - x)) best = at;
  });
  moveCross(best);
}

function followKeys(event) {
  const last = view ? view.xs.length - 1 : 0;
  const at = view?.at ?? null;
  const place = { ArrowRight: at === null ? 0 : at + 1, ArrowLeft: at === null ? last : at - 1, Home: 0, End: last }[event.key];
  if (event.key === "Escape") hideCross();
  if (place === undefined) return;
  event.preventDefault();
  moveCross(place);
}

function drawLegend() {
  byId("legend").replaceChildren(...drawn().map(({ label, settings: averaged }) => {
    const button = element("button", {
      type: "button", "aria-pressed": String(!hidden.has(label)), "data-key": `legend ${label}`,
      onclick: () => {
        if (!hidden.delete(label)) hidden.add(label);
        button.setAttribute("aria-pressed", String(!hidden.has(label)));
        draw();
      },
    }, swatch(label), averaged ? label : `${label} · at work`);
    return button;
  }));
}
