"use strict";
// The details of one row: everything that its figures are computed from.

const STATES = new Map([[true, ["passed", "✓ passed"]], [false, ["failed", "✗ failed"]], [null, ["", "not evaluated"]]]);
const sheet = document.querySelector("#detail .sheet");

function facts(row) {
  const rank = row.rank_low === null ? `${row.rank}` : `${row.rank} (${row.rank_low} to ${row.rank_high} are left open)`;
  const terms = [["Rank", rank], ["Group", row.group], ["Training", [row.training, row.recipe].filter(Boolean).join(", ")],
    ...row.facts];
  return el("dl", { class: "facts" }, terms.filter(([, value]) => value)
    .map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))));
}

function figuresTable(row, seeds) {
  const several = seeds.length > 1;
  const figures = DATA.columns.map((name) => [name, row.figures[name]]);
  const more = DATA.headings.map((text, i) => [text, i]).filter(([, i]) => figures.some(([, f]) => f.more[i] !== null));
  const head = [["Accuracy, %", , ["column"]], ["mean", "number"], ...(several ? [["std", "number"]] : []), ["95% interval", "number", ["low", "high"]],
    ...(several ? seeds.map((one) => [`seed ${one.seed}`, "number"]) : []), ...more.map(([text]) => [text, "number"])];
  return table(`Figures of ${row.defense}`, head, figures.map(([name, f]) => [
    name, share(f.mean), ...(several ? [share(f.std)] : []), exact(span(f.low, f.high), f.low, f.high),
    ...(several ? seeds.map((one) => share(one.accuracy[name])) : []), ...more.map(([, i]) => f.more[i] ?? MISSING)]));
}

function checks(seeds) {
  const checked = seeds.filter((one) => one.checks.length);
  if (!checked.length) return [el("p", { class: "note" }, DATA.checked ? "No network of this row could be checked." : "The checks of this row were left out.")];
  const order = [false, true, null];
  return checked.flatMap((one) => [
    el("h4", {}, `Seed ${one.seed}, on ${counted(one.checked)} images`),
    el("ul", { class: "checks" }, one.checks
      .toSorted((a, b) => order.indexOf(a[1]) - order.indexOf(b[1]))
      .map(([check, passed, sentence]) => {
        const [kind, word] = STATES.get(passed);
        return el("li", {}, el("span", { class: kind }, word), el("strong", {}, check), el("span", {}, sentence));
      }))]);
}

function comparisons(index, all) {
  const rows = [];
  all.first.forEach((first, i) => {
    if (first !== index && all.second[i] !== index) return;
    const sign = first === index ? 1 : -1;
    const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${fixed(Math.abs(100 * value), 1)}`;
    const difference = sign * all.difference[i], ends = [sign * all.low[i], sign * all.high[i]].sort((a, b) => a - b);
    const result = !all.distinguishable[i] ? "not distinguishable" : difference > 0 ? "better" : "worse";
    rows.push([DATA.rows[sign > 0 ? all.second[i] : first].defense, exact(signed(difference), difference),
      exact(ends.map(signed).join(" to "), ...ends), share(all.disagreement[i]),
      exact(all.p[i] < 1e-4 ? "< 0.0001" : String(Number(all.p[i].toPrecision(2))), all.p[i]), result]);
  });
  if (!rows.length) return el("p", { class: "note" }, "This row is not compared with any other.");
  const title = `${DATA.rows[index].defense} compared with the other rows, by ${DATA.ranking}`;
  return table(title, [["Other row", , ["defense"]], ["difference, points", "number", ["difference"]], ["95% interval", "number", ["low", "high"]],
    ["disagree, % of images", "number", ["disagreement"]], ["p (Holm)", "number", ["p_holm"]], ["this row is", "state", ["result"]]], rows);
}

function code(text, label) {
  const block = el("code", {}, text);
  return el("div", { class: "code" }, el("pre", { tabindex: "0", role: "region", "aria-label": label }, block), copyButton(block, label));
}

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

function reproduction(row, seeds) {
  if (row.training === "external") {
    return [el("p", { class: "note" }, "A third-party network, which is not trained here: its published weights are attacked again. --trust-code runs the code that builds it; read it first."),
      code(DATA.verification, "the command")];
  }
  return [code(`robench run ${DATA.target} --defenses ${quoted(row.defense)} --seeds ${seeds.map((s) => s.seed).join(",")}${DATA.rowOptions}`, "the command")];
}

async function showDetail(index) {
  const row = DATA.rows[index], { rows, comparisons: pairs, shared } = await unpacked(), seeds = rows[index];
  const close = el("button", { type: "button", class: "plain close" }, "Close");
  close.addEventListener("click", () => document.getElementById("detail").close());
  const training = el("div", { class: "plot" });
  sheet.replaceChildren(
    el("header", {}, el("h2", { id: "detail-title" }, row.defense), close), facts(row),
    ...row.flags.map(([flag, sentence]) => el("p", {}, el("span", { class: "failed" }, `Flag ${flag}: `), sentence)),
    el("h3", {}, "Figures"), figuresTable(row, seeds),
    el("h3", {}, `Compared with the other rows, by ${DATA.ranking}`), comparisons(index, pairs),
    el("h3", {}, "Checks"), ...checks(seeds),
    el("h3", {}, "Training"), training,
    el("h3", {}, "How to reproduce this row"), ...reproduction(row, seeds),
    el("h3", {}, "Manifest"),
    ...seeds.flatMap((one) => [el("h4", {}, `Seed ${one.seed}`),
      code(JSON.stringify(merged(shared, one.evidence), null, 2), `the manifest of seed ${one.seed}`)]));
  const dialog = document.getElementById("detail");
  if (!dialog.open) dialog.showModal();
  sheet.focus();
  dialog.scrollTop = 0;
  const trained = seeds.filter((one) => one.training.epoch?.length);
  if (trained.length) drawTraining(training, trained);
  if (!training.childElementCount) return training.replaceWith(el("p", { class: "note" }, "No training curve is stored."));
  const title = `Training of ${row.defense}`;
  training.after(el("p", { class: "downloads" }, saveButton("SVG", `the chart “${title}”`, () =>
    saveSvg(title, "Accuracy and loss against the epoch.", (stage) => drawTraining(stage, trained), [], 936))));
}
