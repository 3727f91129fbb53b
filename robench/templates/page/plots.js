"use strict";
// Charts by Observable Plot: SVG whose colors are CSS variables, so that they follow the theme.

const COLORS = 8;
const SYMBOLS = ["circle", "square", "triangle", "diamond", "cross", "star", "wye", "hexagon"];
const OTHER = "var(--other)";
const slotColor = (slot) => (slot < COLORS ? `var(--c${slot})` : OTHER);
const HEXAGON = { draw(context, size) {
  const radius = Math.sqrt(size / Math.PI);
  for (let i = 0; i < 6; i++) {
    context[i ? "lineTo" : "moveTo"](radius * Math.sin(i * Math.PI / 3), radius * Math.cos(i * Math.PI / 3));
  }
  context.closePath();
} };
const SHAPES = { circle: d3.symbolCircle, square: d3.symbolSquare, triangle: d3.symbolTriangle,
  diamond: d3.symbolDiamond, cross: d3.symbolCross, star: d3.symbolStar, wye: d3.symbolWye, hexagon: HEXAGON };

/** Rows as series: `name`, `points`, and the slot that determines color and symbol; gray ones first. */
function series(curves, shown) {
  return shown.map((row, slot) => ({ row, slot, name: DATA.rows[row].defense, points: curves[row] }))
    .filter((one) => one.points).reverse();
}

function plot(container, options, marks) {
  const width = options.width ?? container.clientWidth;
  if (width < 40) return;
  const chart = Plot.plot({
    width, height: Math.max(220, Math.min(340, 0.62 * width)), marginLeft: 46, marginBottom: 40, marginTop: 24,
    marginRight: 20, style: { fontSize: "12px", background: "none" }, ...options, marks,
  });
  // One image with one description: its parts have no roles.
  for (const part of chart.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", options.label ?? container.dataset.label);
  if (options.append) container.append(chart); else container.replaceChildren(chart);
}

/** One line per row; the gray ones share one mark, since there may be hundreds. */
function lines(all, x, y, more = {}) {
  const gray = flat(all.filter((one) => one.slot >= COLORS));
  return [
    Plot.line(gray, { x: (d) => x(d.point), y: (d) => y(d.point), z: (d) => d.one.name, stroke: OTHER, strokeWidth: 0.75, ...more }),
    ...all.filter((one) => one.slot < COLORS)
      .map((one) => Plot.line(one.points, { x, y, stroke: slotColor(one.slot), strokeWidth: 1.75, ...more })),
  ];
}

const dots = (one, points, x, y) => (one.slot < COLORS
  ? Plot.dot(points, { x, y, fill: slotColor(one.slot), stroke: "var(--page)", strokeWidth: 0.75, r: 4.5, symbol: SHAPES[SYMBOLS[one.slot]] })
  : null);

const tip = (points, x, y, title) => Plot.tip(points, Plot.pointer({
  x, y, title, fill: "var(--page)", stroke: "var(--soft)", fontSize: 12 }));

const flat = (all) => all.flatMap((one) => one.points.map((point) => ({ one, point })));
const PERCENT_AXIS = { domain: [0, 100], grid: true, ticks: 5, label: "accuracy, %" };

function drawEps(container, chart, shown) {
  const all = series(chart.curves, shown);
  const eps = [...new Set(all.flatMap((one) => one.points.map((p) => p[0])))].sort((a, b) => a - b);
  const levels = chart.radius.endsWith("/255");
  const name = (e) => (levels ? brief(255 * e) : Number(e.toPrecision(3)).toString());
  const x = (p) => p[0], y = (p) => 100 * p[1];
  plot(container, {
    x: { type: "symlog", constant: eps[1] ?? 1, ticks: eps, tickFormat: name,
      label: `ε (${chart.norm})${levels ? ", gray levels of 255" : ""}` },
    y: PERCENT_AXIS,
  }, [
    Plot.ruleY([0]),
    chart.eps ? Plot.ruleX([chart.eps], { stroke: "var(--soft)", strokeDasharray: "4 3" }) : null,
    ...lines(all, x, y), ...all.map((one) => dots(one, one.points, x, y)),
    tip(flat(all), (d) => x(d.point), (d) => y(d.point), (d) => `${d.one.name}\nε ${name(d.point[0])}: ${percent(d.point[1])}%`),
  ]);
  return table("Accuracy in percent against ε", [NAMED, ...eps.map((e) => [`ε ${name(e)}`, "number", [`eps ${e}`]])],
    all.reverse().map((one) => [one.name, ...eps.map((e) => share(one.points.find((p) => p[0] === e)?.[1]))]));
}

function drawCost(container, chart, shown) {
  const all = series(Object.fromEntries(Object.entries(chart.curves).map(([row, point]) => [row, [point]])), shown);
  const costs = all.map((one) => one.points[0][0]);
  const wide = Math.max(...costs) > 12 * Math.min(...costs);
  const x = (p) => p[0], y = (p) => 100 * p[1];
  plot(container, {
    x: { type: wide ? "log" : "linear", domain: wide ? undefined : [0, 1.08 * Math.max(...costs, 1)],
      label: "training time per epoch, relative", ticks: 5, tickFormat: (v) => `${v}×` },
    y: { grid: true, label: "accuracy, %", nice: true, ticks: 5, zero: false },
  }, [
    Plot.dot(all.filter((one) => one.slot >= COLORS).map((one) => one.points[0]), { x, y, fill: OTHER, r: 2 }),
    ...all.filter((one) => one.slot < COLORS).map((one) => Plot.ruleX(one.points, {
      x, y1: (p) => 100 * p[2], y2: (p) => 100 * p[3], stroke: slotColor(one.slot), strokeWidth: 1.5 })),
    ...all.map((one) => dots(one, one.points, x, y)),
    tip(flat(all), (d) => x(d.point), (d) => y(d.point),
      (d) => `${d.one.name}\n${fixed(d.point[0], 2)}×, ${percent(d.point[1])}% (${span(d.point[2], d.point[3])})`),
  ]);
  return table(`Accuracy under ${chart.column} against training time`,
    [NAMED, ["training time", "number", ["train_cost"]], ["accuracy, %", "number", [`${chart.column}_mean`]],
      ["95% interval", "number", [`${chart.column}_low`, `${chart.column}_high`]]],
    all.reverse().map(({ name, points: [[cost, mean, low, high]] }) =>
      [name, exact(`${fixed(cost, 2)}×`, cost), share(mean), exact(span(low, high), low, high)]));
}

function drawCertified(container, chart, shown) {
  const all = series(chart.curves, shown);
  const x = (p) => p[0], y = (p) => 100 * p[1], attacked = (p) => 100 * p[2];
  const under = (one) => one.points.filter((p) => isNumber(p[2]));
  plot(container, {
    x: { label: `radius (${chart.norm})`, ticks: 6 }, y: PERCENT_AXIS,
  }, [
    Plot.ruleY([0]),
    ...lines(all, x, y), ...all.map((one) => dots(one, under(one), x, attacked)),
    tip(flat(all), (d) => x(d.point), (d) => y(d.point), (d) => `${d.one.name}\nradius ${brief(d.point[0])}: ${percent(d.point[1])}% certified`
      + (isNumber(d.point[2]) ? `, ${percent(d.point[2])}% under attack` : "")),
  ]);
  const at = (one, radius) => one.points.find((p) => Math.abs(p[0] - radius) < 6e-6) ?? [];
  return table("Certified accuracy in percent, and accuracy under attack in parentheses, by radius",
    [NAMED, ...chart.marked.map((r) => [brief(r), "number", [`certified at ${r}`, `attacked at ${r}`]])],
    all.reverse().map((one) => [one.name, ...chart.marked.map((r) => at(one, r)).map((p) =>
      exact(isNumber(p[2]) ? `${percent(p[1])} (${percent(p[2])})` : percent(p[1]), p[1], p[2]))]));
}

function drawCurves(container, chart, shown) {
  const all = series(chart.curves, shown);
  const x = (p) => p[0], y = (p) => 100 * p[1];
  plot(container, {
    x: { label: "iterations", ticks: 5, tickFormat: "~s" }, y: { label: "validation accuracy, %", grid: true, nice: true, ticks: 5, zero: false },
  }, [
    ...lines(all, x, y), ...all.map((one) => dots(one, one.points.slice(-1), x, y)),
    tip(flat(all), (d) => x(d.point), (d) => y(d.point), (d) => `${d.one.name}\n${counted(d.point[0])} iterations: ${percent(d.point[1])}%`),
  ]);
  const half = (one) => one.points[Math.floor((one.points.length - 1) / 2)];
  return table("Validation accuracy in percent",
    [NAMED, ["first epoch", "number"], ["halfway", "number"], ["last epoch", "number"]],
    all.reverse().map((one) => [one.name, ...[one.points[0], half(one), one.points.at(-1)].map((p) => share(p[1]))]));
}

function drawQueries(container, chart, shown) {
  const all = series(chart.curves, shown);
  const x = (p) => p[0], y = (p) => 100 * p[1];
  plot(container, {
    x: { label: "queries", ticks: 6 }, y: { ...PERCENT_AXIS, label: "attack success, %" },
  }, [
    Plot.ruleY([0]),
    ...lines(all, x, y, { curve: "step-after" }),
    ...all.map((one) => dots(one, one.points.slice(-1), x, y)),
    tip(flat(all), (d) => x(d.point), (d) => y(d.point), (d) => `${d.one.name}\n${percent(d.point[1])}% within ${counted(d.point[0])} queries`),
  ]);
  return table("Queries after which the attack has succeeded on a share of the images",
    [NAMED, ...chart.shares.map((s) => [`${100 * s}% success`, "number", [`queries at ${100 * s}% success`]]), ["success at the end, %", "number", ["success"]]],
    all.reverse().map((one) => [one.name, ...chart.quantiles[one.row].map((queries) => exact(counted(queries), queries)), share(one.points.at(-1)[1])]));
}

function drawSpectra(container, chart, shown) {
  const slots = new Map(shown.map((row, slot) => [DATA.rows[row].defense, slot]));
  const rows = new Set(DATA.rows.map((row) => row.defense));
  const networks = Object.entries(chart.networks)
    .filter(([name]) => slots.has(name) || !rows.has(name))
    .map(([name, columns]) => ({ name, columns, slot: slots.get(name) ?? COLORS })).reverse();
  container.replaceChildren();
  const room = container.clientWidth, gap = 16;
  const width = room >= 820 ? Math.floor((room - 2 * gap) / 3) : room;
  for (const [column, label] of chart.panels) {
    const all = networks.map((one) => ({ ...one, points: one.columns[column]
      .map((value, i) => [i + 1, value]).filter((p) => p[1] > 0) }));
    plot(container, {
      append: true, width, height: 250, label: `${label} of each layer, one line per network`,
      x: { label: "layer", ticks: 5, domain: [1, chart.layers.length] },
      y: { type: "log", label, grid: true, tickFormat: "~s", ticks: 4 },
    }, [
      ...lines(all, (p) => p[0], (p) => p[1]),
      ...all.map((one) => dots(one, one.points.filter((_, i) => i % 4 === 0), (p) => p[0], (p) => p[1])),
      tip(flat(all), (d) => d.point[0], (d) => d.point[1],
        (d) => `${d.one.name}\n${chart.layers[d.point[0] - 1]}: ${brief(d.point[1])}`),
    ]);
  }
  const median = (values) => d3.median(values.filter(isNumber));
  return table("Median and maximum over the layers",
    [["Network", , ["network"]], ...chart.panels.flatMap(([column, label]) =>
      [[`${label}: median`, "number", [`${column}_median`]], ["maximum", "number", [`${column}_max`]]])],
    networks.reverse().map((one) => [one.name, ...chart.panels.flatMap(([column]) =>
      [median(one.columns[column]), d3.max(one.columns[column].filter(isNumber))].map((value) => exact(brief(value), value)))]));
}

function drawTraining(container, seeds) {
  container.replaceChildren();
  const width = Math.min(container.clientWidth, 460);
  const names = Object.keys(seeds[0]?.training ?? {}).filter((name) => name !== "epoch");
  const panels = [["accuracy, %", names.filter((n) => n.endsWith("accuracy")), 100], ["loss", names.filter((n) => n.endsWith("loss")), 1]];
  for (const [label, kinds, unit] of panels) {
    const all = seeds.flatMap((one) => kinds.map((kind, slot) => ({ kind, slot, seed: one.seed,
      points: (one.training.epoch ?? []).map((e, i) => [e, one.training[kind]?.[i]]).filter((p) => isNumber(p[1])) })));
    if (!all.some((one) => one.points.length)) continue;
    const ends = kinds.map((kind, slot) => ({ kind, slot, point: all.find((one) => one.kind === kind)?.points.at(-1) }))
      .filter((end) => end.point).sort((a, b) => b.point[1] - a.point[1]);
    plot(container, { append: true, width, height: 220, marginRight: 110, label: `${label} against the epoch: ${kinds.join(", ")}`,
      x: { label: "epoch", ticks: 5, tickFormat: "d" }, y: { label, grid: true, ticks: 4, zero: unit === 100 } }, [
      ...lines(all, (p) => p[0], (p) => unit * p[1]),
      ...ends.map((end, i) => Plot.text([end], { x: (d) => d.point[0], y: (d) => unit * d.point[1],
        text: (d) => d.kind.replace("_", " "), textAnchor: "start", dx: 8, dy: ends.length > 1 ? 12 * i - 6 : 0, fill: slotColor(end.slot) })),
      tip(flat(all), (d) => d.point[0], (d) => unit * d.point[1], (d) => `${d.one.kind}, seed ${d.one.seed}\nepoch ${d.point[0]}: ${brief(unit * d.point[1])}`),
    ]);
  }
}

const NAMED = ["Defense", , ["defense"]];
const symbolPath = (slot) => d3.symbol(slot < COLORS ? SHAPES[SYMBOLS[slot]] : d3.symbolCircle, 64)();

/** [slot, name] of the colored rows, and the number of gray ones. */
const legendEntries = (shown) => [...shown.slice(0, COLORS).map((row, slot) => [slot, DATA.rows[row].defense]),
  ...(shown.length > COLORS ? [[COLORS, `${shown.length - COLORS} others`]] : [])];

/** Legend: symbol and name of each. */
function drawLegend(list, shown) {
  const entry = ([slot, text]) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [key, value] of Object.entries({ width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" })) svg.setAttribute(key, value);
    const shape = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    shape.setAttribute("d", symbolPath(slot));
    shape.setAttribute("fill", slotColor(slot));
    return el("li", {}, svg, text);
  };
  list.replaceChildren(...legendEntries(shown).map(entry));
}

/** The points of a chart, one line each; those of the layers are in one column per measure. */
function points(chart, shown) {
  if (chart.networks) {
    const measures = chart.panels.map(([column]) => column);
    return [["network", "layer", ...measures], ...Object.entries(chart.networks).flatMap(([name, columns]) =>
      chart.layers.map((layer, i) => [name, layer, ...measures.map((column) => columns[column][i])]))];
  }
  const all = shown.filter((row) => chart.curves[row]).map((row) => [DATA.rows[row].defense, chart.curves[row]]);
  return [["defense", ...chart.names], ...all.flatMap(([name, found]) =>
    (isNumber(found[0]) ? [found] : found).map((point) => [name, ...point]))];
}

/** Links to save a chart, in its paragraph for them: as it is for the rows of the filtered table. */
function offer(figure, draw, chart) {
  const title = figure.querySelector("h3").textContent, { label } = figure.querySelector(".plot").dataset;
  const svg = () => {
    const shown = shownRows();
    saveSvg(title, label, (stage) => draw(stage, chart, shown), shown, chart.networks ? 980 : 640);
  };
  figure.querySelector(".downloads").replaceChildren(
    saveButton("SVG", `the chart “${title}”`, svg),
    saveButton("CSV", `the points of “${title}”`, () => saveCsv(title, points(chart, shownRows()))));
}

/** Draw all charts for the rows shown, and put each chart's data table below it. */
function drawCharts(shown) {
  drawLegend(document.getElementById("legend"), shown);
  const all = [["chart-eps", drawEps, DATA.charts.eps], ["chart-cost", drawCost, DATA.charts.cost],
    ["chart-certified", drawCertified, DATA.charts.certified], ["chart-curves", drawCurves, DATA.charts.curves],
    ...DATA.charts.queries.map((chart, i) => [`chart-queries-${i}`, drawQueries, chart]),
    ["chart-spectra", drawSpectra, DATA.charts.spectra]];
  for (const [id, draw, chart] of all) {
    const figure = document.getElementById(id);
    if (!figure || !chart) continue;
    const figures = draw(figure.querySelector(".plot"), chart, shown);
    if (!figure.querySelector(".downloads button")) offer(figure, draw, chart);
    const details = figure.querySelector("details");
    details.replaceChildren(details.querySelector("summary"), figures);
  }
}
