"use strict";
// Files made by a click: a chart as SVG, figures as CSV and LaTeX. Figures are not rounded in CSV.

function save(name, ending, type, text) {
  const stem = `${DATA.file}-${name}`.replace(/[^A-Za-z0-9_]+/g, "-").replace(/^-|-$/g, "").slice(0, 80);
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { download: `${stem}.${ending}`, href: url }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function saveButton(label, about, onclick) {
  const button = el("button", { type: "button", "aria-label": `${label} of ${about}` }, label);
  button.addEventListener("click", onclick);
  return button;
}

// As robench.leaderboard.safe_csv: an apostrophe where a spreadsheet would begin to read a formula.
const FORMULA = /(?<=^|[,;|"\t\r\n])(?=(?:'|[^\S\t\r\n]|[\x00-\x08\x0e-\x1f\ufeff\u200b])*[=+\-@\t\r\n＝＋－＠])/g;
function field(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const safe = value.replace(FORMULA, "'");
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
const saveCsv = (name, rows) => save(name, "csv", "text/csv", rows.map((row) => `${row.map(field).join(",")}\n`).join(""));

// As robench.leaderboard.export; DATA.latex maps the characters that LaTeX would interpret.
const latexText = (text) => [...String(text).replace(/[\s\x00-\x1f\x7f-\x9f]+/g, " ").trim()]
  .map((c) => DATA.latex[c] ?? c).join("").replace(/-(?=-)/g, "-{}").replaceAll("–", "--").replaceAll("−", "$-$").replaceAll("×", "$\\times$");
function saveLatex(caption, head, rows) {
  const line = (cells) => `${cells.map(latexText).join(" & ")} \\\\`;
  save(caption, "tex", "text/x-tex", ["\\begin{table}[t]", "\\centering", `\\caption{${latexText(caption)}}`, "\\label{tab:robench}",
    `\\begin{tabular}{l${"r".repeat(head.length - 1)}}`, "\\toprule", line(head), "\\midrule", ...rows.map(line),
    "\\bottomrule", "\\end{tabular}", "\\end{table}", ""].join("\n"));
}

/** A chart drawn again by `draw` at one width, whatever that of the window, as a file of its own: light, with its legend. */
function saveSvg(name, about, draw, shown = [], width = 640) {
  const stage = el("div", { class: "plot stage" });
  stage.style.width = `${width}px`;
  document.body.append(stage);
  draw(stage);
  const parts = [...stage.querySelectorAll(":scope > svg")];
  stage.remove();
  const node = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  let x = 0, y = 0, bottom = 0;
  for (const part of parts) {
    const [wide, high] = [Number(part.getAttribute("width")), Number(part.getAttribute("height"))];
    if (x && x + wide > width) [x, y] = [0, bottom + 16];
    part.querySelectorAll("style").forEach((style) => style.remove());
    for (const key of ["style", "class", "role", "aria-label"]) part.removeAttribute(key);
    for (const [key, value] of Object.entries({ x, y, overflow: "visible", "font-size": 12 })) part.setAttribute(key, value);
    part.removeAttribute("font-family");
    x += wide + 16;
    bottom = Math.max(bottom, y + high);
  }
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "12px Helvetica, Arial, sans-serif";
  const legend = legendEntries(shown).map(([slot, text]) => ({ slot, text, wide: 34 + pen.measureText(text).width }));
  [x, y] = [8, bottom + 14];
  const entries = legend.map(({ slot, text, wide }) => {
    if (x > 8 && x + wide > width) [x, y] = [8, y + 20];
    const entry = node("g", { transform: `translate(${x},${y})` },
      node("path", { d: symbolPath(slot), fill: slotColor(slot) }), node("text", { x: 12, y: 4, fill: "currentColor" }, text));
    x += wide;
    return entry;
  });
  const height = legend.length ? y + 14 : bottom;
  const svg = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "font-family": "Helvetica, Arial, sans-serif", "font-size": 12 },
    node("title", {}, name), node("desc", {}, about), node("rect", { width, height, fill: "var(--page)" }), ...parts, ...entries);
  // The first rule of the page's style has the light colors, whatever the theme.
  const light = document.styleSheets[0].cssRules[0].style;
  const color = (key) => light.getPropertyValue(key === "--plot-background" ? "--page" : key).trim();
  const text = new XMLSerializer().serializeToString(svg).replace(/var\((--[\w-]+)\)/g, (_, key) => color(key))
    .replaceAll("currentColor", color("--ink")).replace(/[\x00-\x08\x0b\x0c\x0e-\x1f]/g, "");
  save(name, "svg", "image/svg+xml", `<?xml version="1.0" encoding="UTF-8"?>\n${text}\n`);
}
