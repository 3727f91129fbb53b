"use strict";
// All elements are created by el(): external text becomes text, never markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MISSING = "–";

function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number as Python writes it by f"{value:.1f}", as it stands elsewhere on the page: ties go to the even digit, and not away from zero. */
function fixed(value, digits) {
  const text = value.toFixed(digits);
  const tie = Math.abs(value) * 2 ** (digits + 1) % 2 === 1;
  return tie && Number(text.at(-1)) % 2 ? (value - Math.sign(value) * 0.5 * 10 ** -digits).toFixed(digits) : text;
}

const isNumber = (value) => typeof value === "number";
const percent = (share) => (isNumber(share) ? fixed(100 * share, 1) : MISSING);
const counted = (value) => (isNumber(value) ? Math.round(value).toLocaleString("en") : MISSING);
const brief = (value) => (isNumber(value) ? Number(value.toPrecision(4)).toString() : MISSING);
const span = (low, high) => (isNumber(low) && isNumber(high) ? `${percent(low)}–${percent(high)}` : MISSING);

/** A type of columns of numbers by which a missing one, whose data-order is empty, is last in both directions. */
const lastIfMissing = (compare) => (a, b) => (isNaN(a) || isNaN(b) ? isNaN(a) - isNaN(b) : compare(a, b));
DataTable.type("figure", { order: {
  pre: (text) => (text === "" ? NaN : Number(text)),
  asc: lastIfMissing((a, b) => a - b),
  desc: lastIfMissing((a, b) => b - a),
} });

/** A cell whose text is rounded or a range: the figures themselves are for a CSV file. */
const exact = (text, ...values) => ({ text, values });
const share = (value) => exact(percent(value), value);

/** A table with a caption and links to save it; the first cell of each row names it. `head` is one [text, class, names]
 * per column: what a CSV file calls its figures, the text by default. Cells are texts or made by exact(). */
function table(caption, head, rows) {
  const cell = (value, index) =>
    el(index ? "td" : "th", { class: head[index][1], scope: index ? null : "row" }, value.text ?? value);
  const csv = () => [head.flatMap(([text, , names]) => names ?? [text]), ...rows.map((row) => row.flatMap((value) => value.values ?? [value]))];
  return el("div", {},
    el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
      el("table", {},
        el("caption", { class: "unseen" }, caption),
        el("thead", {}, el("tr", {}, head.map(([text, kind]) => el("th", { scope: "col", class: kind }, text)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))))),
    el("p", { class: "downloads" },
      saveButton("CSV", `the table “${caption}”`, () => saveCsv(caption, csv())),
      saveButton("LaTeX", `the table “${caption}”`, () => saveLatex(caption, head.map(([text]) => text), rows.map((row) => row.map((value) => value.text ?? value))))));
}

let evidence = null;
/** The evidence of all rows, unpacked on first use. */
function unpacked() {
  evidence ??= (async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("evidence").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  })();
  return evidence;
}

/** The common part of all cells merged with the rest of one; keys sorted. */
function merged(common, own) {
  if (own === undefined) return merged(common, {});
  if (common === undefined) return merged(own, {});
  const plain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!plain(common)) return common;
  const keys = [...new Set([...Object.keys(common), ...Object.keys(own)])].sort();
  return Object.fromEntries(keys.map((key) => [key, merged(common[key], own[key])]));
}

/** A button that copies the text of an element; null if the browser does not allow it. */
function copyButton(source, what) {
  if (!navigator.clipboard) return null;
  const button = el("button", { type: "button", class: "plain copy", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
}
