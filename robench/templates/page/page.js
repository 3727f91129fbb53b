"use strict";
// DataTables sorts and filters the table; the charts follow it.

const board = document.getElementById("board");
const method = document.getElementById("method");
const unflagged = document.getElementById("unflagged");
const count = document.getElementById("count");

const heads = [...board.tHead.rows[0].cells];
const columnsOf = (kind) => heads.flatMap((head, i) => (head.classList.contains(kind) ? [i] : []));
const sorted = new DataTable(board, {
  paging: false, info: false, autoWidth: false, layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
  order: [[0, "asc"]],
  columnDefs: [
    { targets: [...columnsOf("rank"), ...columnsOf("group"), ...columnsOf("figure"), ...columnsOf("cost")], searchable: false, type: "figure" },
    { targets: columnsOf("figure"), orderSequence: ["desc", "asc"] },
    { targets: [...columnsOf("rank"), ...columnsOf("group"), ...columnsOf("name"), ...columnsOf("cost")], orderSequence: ["asc", "desc"] },
  ],
  language: { emptyTable: "The board has no rows.", zeroRecords: "No row matches the filter." },
});
const rowOf = (i) => sorted.row(i).node();
sorted.search.fixed("method", (_, __, i) => !method?.value || rowOf(i).dataset.method === method.value);
sorted.search.fixed("flags", (_, __, i) => !unflagged.checked || rowOf(i).dataset.flags === "0");

const shownRows = () => sorted.rows({ search: "applied", order: "index" }).nodes().toArray().map((tr) => Number(tr.dataset.row));
let waiting = 0;
function redraw() {
  clearTimeout(waiting);
  waiting = setTimeout(() => drawCharts(shownRows()), 60);
}
sorted.on("search", redraw);
sorted.on("draw", () => {
  const shown = sorted.rows({ search: "applied" }).count();
  count.textContent = shown === DATA.rows.length ? `${shown} rows` : `${shown} of ${DATA.rows.length} rows`;
});
document.querySelector(".tools").hidden = false;
document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("filter").addEventListener("input", (event) => sorted.search(event.target.value).draw());
for (const control of [method, unflagged]) control?.addEventListener("change", () => sorted.draw());

// Details open by the button of a row, or by an address that ends with #row=NAME.
const dialog = document.getElementById("detail");
const address = (name) => `#row=${encodeURIComponent(name)}`;
board.addEventListener("click", (event) => {
  const button = event.target.closest(".open");
  if (!button) return;
  const index = Number(button.closest("tr").dataset.row);
  history.replaceState(null, "", address(DATA.rows[index].defense));
  showDetail(index);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
function openAddress() {
  const index = DATA.rows.findIndex((row) => address(row.defense) === location.hash);
  if (index >= 0) showDetail(index);
}
window.addEventListener("hashchange", openAddress);

// A flag's finding is shown while the flag is hovered or focused; Escape hides it.
const bubble = document.getElementById("tip");
let flagShown = null;
function showTip(flag) {
  flagShown = flag;
  bubble.textContent = flag.dataset.tip;
  bubble.hidden = false;
  const box = flag.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - bubble.offsetWidth - 8);
  const below = box.bottom + 6 + bubble.offsetHeight < window.innerHeight;
  bubble.style.left = `${Math.max(8, left)}px`;
  bubble.style.top = `${below ? box.bottom + 6 : box.top - 6 - bubble.offsetHeight}px`;
}
function hideTip() {
  flagShown = null;
  bubble.hidden = true;
}
for (const kind of ["mouseover", "focusin", "click"]) {
  board.addEventListener(kind, (event) => { const flag = event.target.closest(".flag"); if (flag) showTip(flag); });
}
for (const kind of ["mouseout", "focusout"]) board.addEventListener(kind, hideTip);
window.addEventListener("scroll", () => { if (flagShown) showTip(flagShown); }, { capture: true, passive: true });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

for (const id of ["commands", "bibtex"]) {
  const button = copyButton(document.getElementById(id), id === "commands" ? "the commands" : "the BibTeX entry");
  if (button) document.getElementById(id).closest(".code").append(button);
}

let width = 0;
new ResizeObserver(([entry]) => {
  if (Math.abs(entry.contentRect.width - width) < 1) return;
  width = entry.contentRect.width;
  redraw();
}).observe(document.getElementById("charts"));
drawCharts(shownRows());
openAddress();
