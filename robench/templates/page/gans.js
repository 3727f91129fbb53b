"use strict";
// The page of a board of GANs: a table that sorts, and curves over the steps of the training.

const board = document.getElementById("board");
const heads = [...board.tHead.rows[0].cells];
const numbers = heads.flatMap((head, i) => (head.classList.contains("name") ? [] : [i]));
new DataTable(board, {
  paging: false, info: false, searching: false, autoWidth: false, order: [[0, "asc"]],
  layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
  columnDefs: [{ targets: numbers, type: "figure" }, { targets: "_all", orderSequence: ["asc", "desc"] }],
});
const shownRows = () => DATA.rows.map((_, index) => index);

function drawOverSteps(container, chart, shown) {
  const all = series(chart.curves, shown);
  const x = (p) => p[0], y = (p) => p[1];
  plot(container, {
    x: { label: "steps", ticks: 5, tickFormat: "~s" }, y: { label: chart.label, grid: true, nice: true, ticks: 5, zero: false },
  }, [
    ...lines(all, x, y), ...all.map((one) => dots(one, one.points.slice(-1), x, y)),
    tip(flat(all), (d) => x(d.point), (d) => y(d.point), (d) => `${d.one.name}\nstep ${counted(d.point[0])}: ${brief(d.point[1])}`),
  ]);
  const half = (one) => one.points[Math.floor((one.points.length - 1) / 2)];
  return table(chart.title, [NAMED, ["first", "number"], ["halfway", "number"], ["last", "number"]],
    all.reverse().map((one) => [one.name, ...[one.points[0], half(one), one.points.at(-1)].map((p) => exact(brief(p[1]), p[1]))]));
}

function drawAll() {
  drawLegend(document.getElementById("legend"), shownRows());
  for (const chart of DATA.charts) {
    const figure = document.getElementById(`chart-${chart.id}`);
    const figures = drawOverSteps(figure.querySelector(".plot"), chart, shownRows());
    if (!figure.querySelector(".downloads button")) offer(figure, drawOverSteps, chart);
    const details = figure.querySelector("details");
    details.replaceChildren(details.querySelector("summary"), figures);
  }
}

let width = 0;
new ResizeObserver(([entry]) => {
  if (Math.abs(entry.contentRect.width - width) < 1) return;
  width = entry.contentRect.width;
  drawAll();
}).observe(document.getElementById("charts"));
drawAll();
