// The value at each decision as a line, with 0 and where we are.
const TALL = 96, PAD = 50; // as far in as the slider below, so that its thumb stands under the mark

function drawCurve(svg, values, onPick) {
  const known = values.filter((value) => value !== null);
  const most = Math.max(1, ...known.map(Math.abs));
  const wide = Math.max(svg.clientWidth, 200);
  const x = (i) => PAD + (values.length > 1 ? (i / (values.length - 1)) * (wide - 2 * PAD) : (wide - 2 * PAD) / 2);
  const y = (value) => TALL / 2 - (value / most) * (TALL / 2 - 8);
  const label = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${+Math.abs(value).toPrecision(2)}`;
  svg.setAttribute("viewBox", `0 0 ${wide} ${TALL}`);
  svg.replaceChildren();
  for (const value of [most, 0, -most]) {
    svg.append(shape("line", { class: value ? "grid" : "zero", x1: PAD, x2: wide - PAD, y1: y(value), y2: y(value) }));
    svg.append(shape("text", { x: PAD - 6, y: y(value) + 4, "text-anchor": "end" }, label(value)));
  }
  let path = "", broken = true;
  values.forEach((value, i) => {
    if (value === null) return; // nobody was asked: the line goes on past it
    path += `${broken ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    broken = false;
  });
  svg.append(shape("path", { class: "curve", d: path }));
  const mark = shape("line", { class: "mark", y1: 0, y2: TALL });
  const dot = shape("circle", { class: "dot", r: 4.5 });
  svg.append(mark, dot);
  svg.onclick = (event) => {
    const at = (event.clientX - svg.getBoundingClientRect().left - PAD) / (wide - 2 * PAD);
    onPick(Math.round(Math.min(1, Math.max(0, at)) * (values.length - 1)));
  };
  return (i) => {
    mark.setAttribute("x1", x(i));
    mark.setAttribute("x2", x(i));
    dot.style.display = values[i] === null ? "none" : "";
    dot.setAttribute("cx", x(i));
    dot.setAttribute("cy", y(values[i] ?? 0));
  };
}
