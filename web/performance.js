// SPDX-License-Identifier: MIT
// The page /performance: what models, arms of routes and the process do, second by second.

import { Chart, css, figure } from "./perf_chart.js";
import { Feed } from "./perf_feed.js";
import { History, recentMean } from "./perf_history.js";
import { byId } from "./words.js";

const LINES_MAX = 8; // of models and arms in one chart: there are no more colours

const history = new History();
let chosen = ""; // key of a row; empty: all
let span_s = 300;

// ---- what is shown ----

// The busiest, each with the colour that it keeps while it is among them.
const colors = new Map();

function busiest() {
  const rows = [...history.rows.values()];
  const busy = (r) => (r.mean("computed") ?? 0) + (r.mean("cached") ?? 0);
  const top = rows.toSorted((a, b) => busy(b) - busy(a) || (a.name < b.name ? -1 : 1))
    .slice(0, LINES_MAX);
  const keys = new Set(top.map((r) => r.key));
  for (const key of colors.keys())
    if (!keys.has(key))
      colors.delete(key);
  for (const row of top)
    if (!colors.has(row.key)) {
      const used = new Set(colors.values());
      colors.set(row.key, [1, 2, 3, 4, 5, 6, 7, 8].find((n) => !used.has(n)));
    }
  return rows.filter((r) => keys.has(r.key));
}

// Of those that have been asked for anything; all, where none has.
function shown() {
  const rows = busiest();
  const used = rows.filter((r) => ["computed", "cached", "failed"].some(
    (f) => r.columns[f].some((v) => v > 0)));
  return used.length > 0 ? used : rows;
}

const colorOf = (row) => `--line-${colors.get(row.key)}`;
const byRow = (field, factor = 1) => (_, rows) => rows.map((r) => ({
  name: r.name, color: colorOf(r),
  values: factor === 1 ? r.columns[field]
    : r.columns[field].map((v) => (v === null ? null : v * factor)),
}));

function throughput(_, rows) {
  const values = rows.length === 1 ? (f) => rows[0].columns[f] : (f) => history.sum(f);
  return [
    { name: "computed", color: "--line-1", values: values("computed") },
    { name: "from the cache", color: "--line-3", values: values("cached") },
    { name: "failed", color: "--line-6", values: values("failed") },
  ];
}

function latency(_, rows) {
  if (rows.length !== 1)
    return byRow("p95_ms")(_, rows);
  return [["p50", "--line-1"], ["p95", "--line-2"], ["p99", "--line-6"]].map(([name, color]) => (
    { name, color, values: rows[0].columns[`${name}_ms`] }));
}

const always = (unit) => () => unit;
const charts = [
  { title: "Throughput", unit: always("answers / s"), lines: throughput },
  { title: "Latency", unit: (rows) => (rows.length === 1 ? "ms" : "p95, ms"), lines: latency },
  { title: "Time in the queue", unit: always("p95, ms"), lines: byRow("queue_p95_ms") },
  { title: "Requests waiting", unit: always("now"), lines: byRow("pending") },
  { title: "Batch size", unit: always("inferences / run"), lines: byRow("batch") },
  { title: "Cache hits", unit: always("% of lookups"), max: 100, lines: byRow("hit_ratio", 100) },
  { title: "CPU", unit: always("% of one core, this process"),
    lines: (h) => [{ name: "CPU", color: "--line-1", values: h.cpu }] },
  { title: "Memory", unit: always("MiB resident, this process"),
    lines: (h) => [{ name: "resident", color: "--line-8", values: h.resident }] },
].map((spec) => new Chart(spec));

// ---- the page ----

const CELLS = [["computed", "mean"], ["cached", "mean"], ["failed", "mean"], ["p50_ms", "worst"],
  ["p95_ms", "worst"], ["p99_ms", "worst"], ["queue_p95_ms", "worst"], ["pending", "worst"],
  ["batch", "mean"], ["hit_ratio", "mean"]];

function rowElement(row) {
  const tr = document.createElement("tr");
  const th = document.createElement("th");
  const button = document.createElement("button");
  th.scope = "row";
  button.type = "button";
  button.append(document.createElement("i"), row.name);
  button.addEventListener("click", () => choose(chosen === row.key ? "" : row.key));
  th.append(button);
  tr.append(th, ...CELLS.map(() => document.createElement("td")));
  tr.dataset.key = row.key;
  return tr;
}

// Rows are kept, so that the focus stays where it is.
function showTable() {
  const body = byId("rows");
  const known = new Map([...body.children].map((tr) => [tr.dataset.key, tr]));
  const all = [...history.rows.values()].map((r) => known.get(r.key) ?? rowElement(r));
  if (all.length !== body.children.length || all.some((tr, i) => tr !== body.children[i]))
    body.replaceChildren(...all);
  [...history.rows.values()].forEach((row, i) => {
    const [th, ...cells] = all[i].children;
    th.firstChild.ariaPressed = String(chosen === row.key);
    th.querySelector("i").style.background = colors.has(row.key) ? css(colorOf(row)) : "";
    CELLS.forEach(([field, how], k) => {
      const value = row[how](field);
      cells[k].textContent = figure(field === "hit_ratio" && value !== null ? 100 * value : value);
      cells[k].className = field === "failed" && value > 0 ? "bad" : "";
    });
  });
  const n = history.report.left_out ?? 0;
  byId("left-out").hidden = n === 0;
  byId("left-out").textContent = `${n} more are not shown (setting metrics.max_models).`;
}

function showChoice() {
  const select = byId("which");
  const keys = ["", ...history.rows.keys()];
  if (chosen !== "" && !history.rows.has(chosen))
    chosen = "";
  if (keys.some((key, i) => select.options[i]?.value !== key) || keys.length !== select.length) {
    select.length = 1;
    for (const row of history.rows.values())
      select.add(new Option(row.name, row.key));
  }
  select.value = chosen;
}

function showFigures() {
  const now = (field) => recentMean(history.sum(field));
  const rates = ["computed", "cached", "failed"].map(now);
  const p95 = history.models().map((r) => r.worst("p95_ms")).filter((v) => v !== null);
  byId("rate").textContent = figure(rates[0] + rates[1] + rates[2]);
  byId("cached").textContent = figure(rates[1]);
  byId("failed").textContent = figure(rates[2]);
  byId("p95").textContent = figure(p95.length > 0 ? Math.max(...p95) : null);
  byId("cpu").textContent = figure(recentMean(history.cpu));
  byId("cores").textContent = `% of ${100 * history.report.cores}`;
  byId("memory").textContent = figure(history.resident.at(-1));
}

function show() {
  const rows = shown();
  const one = history.rows.get(chosen);
  if (one !== undefined && !colors.has(one.key))
    colors.set(one.key, 1);
  showChoice();
  showFigures();
  showTable();
  byId("empty").hidden = history.report.message === undefined;
  byId("since").textContent = history.started_ms === null ? ""
    : `Up since ${new Date(history.started_ms).toLocaleString("en-GB")} · `
      + `${figure(history.report.total_requests)} requests · on average `
      + `${figure(history.report.average_inference_time_ms)} ms, p95 `
      + `${figure(history.report.p95_inference_time_ms)} ms computed.`;
  for (const chart of charts)
    chart.show(history, one === undefined ? rows : [one], span_s);
}

function choose(key) {
  chosen = key;
  show();
}

function told(state, why) {
  const words = { live: "Live", offline: "Server gone, trying again", locked: "Locked" };
  const pill = byId("state");
  pill.textContent = words[state];
  pill.dataset.state = state === "locked" ? "failed" : state;
  byId("main").classList.toggle("gone", state !== "live");
  byId("note").hidden = state !== "offline";
  byId("note").textContent = `No answer from the server: ${why}. What is shown is what was last `
    + "known.";
  byId("key-form").hidden = state !== "locked";
  if (state === "live")
    show();
}

function setUp() {
  byId("charts").append(...charts.map((c) => c.root));
  byId("example").textContent =
    `curl -F file=@picture.jpg ${new URL("v1/images:detect", location.href)}`;
  byId("which").addEventListener("change", (e) => choose(e.target.value));
  byId("span").addEventListener("change", (e) => {
    span_s = Number(e.target.value);
    show();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    charts.forEach((c) => c.forget());
    show();
  });
  const feed = new Feed(history, told);
  byId("pause").addEventListener("click", (e) => {
    const paused = e.target.ariaPressed !== "true";
    e.target.ariaPressed = String(paused);
    e.target.textContent = paused ? "Go on" : "Pause";
    feed.pause(paused);
    if (paused) {
      byId("state").textContent = "Paused";
      byId("state").dataset.state = "idle";
    }
  });
  byId("key-form").addEventListener("submit", (e) => {
    e.preventDefault();
    feed.useKey(byId("key").value.trim());
  });
  show();
  feed.start();
}

setUp();
