// Parallel coordinates: one axis a setting, the result last, one line a group.
const MAX_AXES = 9;

function axes() {
  const result = { name: data.metric, value: (group) => group.mean };
  const swept = data.keys.filter((key) => key !== "run").slice(0, MAX_AXES)
    .map((key) => ({ name: key, value: (group) => numeric(group.settings[key] ?? "–") }));
  return [...swept, result].map((axis) => {
    const values = data.groups.map(axis.value).filter((value) => value !== null);
    const numbers = values.every((value) => typeof value === "number");
    return { ...axis, ...(numbers ? numberScale(values) : wordScale(values)) };
  });
}

function numberScale(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const log = low > 0 && high / low >= 10;
  const scaled = (value) => (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low || 1));
  const few = [...new Set(values)];
  const marks = few.length <= 6 ? few : log ? [low, Math.sqrt(low * high), high] : [low, (low + high) / 2, high];
  return { place: (value) => (high === low ? 0.5 : scaled(value)), marks: marks.map((value) => [value, show(value)]) };
}

function wordScale(values) {
  const words = [...new Set(values.map(String))].sort();
  const place = (value) => (words.length === 1 ? 0.5 : words.indexOf(String(value)) / (words.length - 1));
  return { place, marks: words.map((word) => [word, word.length > 18 ? `${word.slice(0, 16)}…` : word]) };
}

function drawParallel() {
  const found = axes();
  const svg = byId("coordinates");
  byId("parallel").hidden = found.length < 2 || data.groups.length < 2;
  if (byId("parallel").hidden) return;
  svg.style.minWidth = `${8 * found.length}rem`;
  const { width, height } = svg.getBoundingClientRect();
  const [top, bottom, side] = [34, 14, 70];
  const x = (at) => side + (at / (found.length - 1)) * (width - 2 * side);
  const y = (share) => height - bottom - share * (height - top - bottom);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  data.groups.forEach((group) => {
    if (hidden.has(group.label) || group.mean === null) return;
    const points = found.map((axis, at) => `${x(at).toFixed(1)},${y(axis.place(axis.value(group))).toFixed(1)}`);
    const path = shape("path", { class: "path", d: `M${points.join("L")}`, stroke: colour(group.label), "stroke-dasharray": dashes(group.label) });
    path.append(shape("title", {}, `${group.label}: ${show(group.mean)}`));
    svg.append(path);
  });
  found.forEach((axis, at) => {
    const anchor = at === 0 ? "start" : at === found.length - 1 ? "end" : "middle";
    svg.append(shape("line", { class: "axis", x1: x(at), x2: x(at), y1: top, y2: height - bottom }));
    svg.append(shape("text", { class: "name", x: at === 0 ? 0 : at === found.length - 1 ? width : x(at), y: 16, "text-anchor": anchor }, axis.name));
    const last = at === found.length - 1;
    for (const [value, text] of axis.marks) {
      svg.append(shape("text", { x: x(at) + (last ? 8 : -8), y: y(axis.place(value)) + 4, "text-anchor": last ? "start" : "end" }, text));
    }
  });
}
