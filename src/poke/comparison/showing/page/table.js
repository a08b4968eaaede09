// The table of settings: sorted by a click on a heading, filtered by words, each row opening to its runs.
const spread = (estimate) =>
  estimate.std === null ? [show(estimate.mean)] : [show(estimate.mean), element("span", { class: "spread" }, ` ± ${show(estimate.std, 2)}`)];
const range = (low, high) => (low === null ? "" : `[${show(low)}, ${show(high)}]`);
const probability = (value) => (value !== null && value < 0.001 ? "<0.001" : show(value, 2));
const numeric = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
const opened = new Set(); // labels of the groups whose runs are shown
const order = { name: null, falling: false };
const atName = typeof data.at === "number" ? `step ${data.at}` : data.at;

function columns() {
  const byItself = data.groups.every((group) => group.n === 1);
  const keys = data.keys.length || !byItself ? data.keys : ["run"];
  const found = keys.map((key) => ({
    name: key,
    value: (group) => numeric(group.settings[key] ?? (key === "run" ? group.runs[0].name : "")),
    cell: (group) => [group.settings[key] ?? (key === "run" ? group.runs[0].name : "–")],
  }));
  const add = (name, value, cell) => {
    if (data.groups.some((group) => (value(group) ?? null) !== null)) found.push({ name, value, cell, number: true });
  };
  if (!byItself) add("runs", (group) => group.n, (group) => [group.n < 3 ? `${group.n}*` : String(group.n)]);
  add(atName, (group) => group.mean, spread);
  add("95 % interval", (group) => group.low, (group) => [range(group.low, group.high)]);
  add("IQM", (group) => group.iqm, (group) => [show(group.iqm)]);
  for (const name of ["last", "best"]) {
    if (name !== data.at) add(name, (group) => group[name].mean, (group) => spread(group[name]));
  }
  if (data.baseline !== null) {
    const part = (name) => (group) => (group.contrast ? group.contrast[name] : null);
    add("difference", part("difference"), (group) => [group.contrast ? show(group.contrast.difference) : "baseline"]);
    add("its 95 % interval", part("low"), (group) => [group.contrast ? range(group.contrast.low, group.contrast.high) : ""]);
    add("p (Holm)", part("p"), (group) => [probability(part("p")(group))]);
    add("P(better)", part("improvement"), (group) => [show(part("improvement")(group))]);
  }
  return found;
}

function drawTable() {
  const shown = columns();
  const rows = data.groups.map((group) => tableRow(group, shown));
  const body = element("tbody");
  const headings = shown.map((column) =>
    element("th", { scope: "col", class: column.number ? "number" : null },
      element("button", { type: "button", "data-key": `sort ${column.name}`, onclick: () => sortBy(column.name) }, column.name)));

  function sort() {
    const place = shown.findIndex((column) => column.name === order.name);
    headings.forEach((heading, at) => {
      if (at === place) heading.setAttribute("aria-sort", order.falling ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
    if (place >= 0) {
      rows.sort((first, second) => compareValues(shown[place].value(first.group), shown[place].value(second.group), order.falling));
    }
    body.append(...rows.flatMap((row) => [row.line, row.runs]));
  }

  function sortBy(name) {
    order.falling = order.name === name && !order.falling;
    order.name = name;
    sort();
  }

  function filter() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const matches = words.every((word) => row.text.includes(word));
      row.line.hidden = !matches;
      row.runs.hidden = !matches || !opened.has(row.group.label);
      count += matches;
    }
    byId("matches").textContent = words.length ? `${count} of ${rows.length} shown` : "";
  }

  sort();
  filter();
  byId("table").replaceChildren(element("thead", {}, element("tr", {}, ...headings)), body);
  byId("filter").oninput = filter;
}

function tableRow(group, shown) {
  const { label } = group;
  const runs = element("tr", { class: "runs", hidden: "" }, element("td", { colspan: shown.length }, runList(group)));
  const open = element("button", {
    type: "button", class: "open", "aria-label": `runs of ${label}`, "data-key": `open ${label}`,
    onclick: () => {
      if (!opened.delete(label)) opened.add(label);
      showRuns();
    },
  });
  function showRuns() {
    runs.hidden = !opened.has(label);
    open.setAttribute("aria-expanded", String(!runs.hidden));
    open.textContent = runs.hidden ? "▸" : "▾";
  }
  showRuns();
  const cells = shown.map((column, at) =>
    element("td", { class: column.number ? "number" : null }, ...(at === 0 ? [open, swatch(label)] : []), ...column.cell(group)));
  const line = element("tr", { class: label === data.baseline ? "baseline" : null }, ...cells);
  return { group, line, runs, text: `${label} ${line.textContent} ${group.runs.map((run) => run.name).join(" ")}`.toLowerCase() };
}

// Numbers before words, and what is missing always last.
function compareValues(first, second, falling) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(first) || missing(second)) return missing(first) - missing(second);
  const sign = falling ? -1 : 1;
  if (typeof first !== typeof second) return typeof first === "number" ? -sign : sign;
  return sign * (first < second ? -1 : first > second ? 1 : 0);
}

function runList(group) {
  return element("ul", {}, ...group.runs.map((run) => element("li", {},
    element("a", { href: run.href }, run.name),
    ` ${run.seed === null ? "" : `seed ${run.seed}, `}${atName} ${show(run.value) || "nan"}`)));
}

function drawOthers() {
  byId("aside").hidden = data.not_averaged.length === 0;
  const heading = (name, number) => element("th", { scope: "col", class: number ? "number" : null }, name);
  byId("others").replaceChildren(
    element("thead", {}, element("tr", {}, heading("run"), heading("why"), heading("step", true), heading(data.metric, true), heading("error"))),
    element("tbody", {}, ...data.not_averaged.map((run) => element("tr", {},
      element("td", {}, element("a", { href: run.href }, run.name)), element("td", {}, run.why),
      element("td", { class: "number" }, show(run.step)), element("td", { class: "number" }, show(run.value)),
      element("td", {}, run.error ?? "")))));
}
