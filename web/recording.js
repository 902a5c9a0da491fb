// SPDX-License-Identifier: MIT
// A recording: sent to the server as it is, its answer shown, and the readings drawn as the server
// has understood them.

import { Series, Trace, norm } from "./trace.js";
import { ACTIVITIES, byId, number } from "./words.js";

const GRAVITY = 9.80665;
const WINDOW_US = 12_000_000;
const LEAD_US = 1_000_000;      // shown before the first step
const DRAWN_BYTES_MAX = 64 << 20;
const TIME_UNITS = { s: 1e6, ms: 1e3, us: 1, ns: 1e-3 };

// |a| of the rows of a CSV or TSV; null when the answer does not tell how to read them.
export function seriesOf(text, report) {
  const columns = report.columns?.split(",") ?? [];
  const acc = ["acc_x", "acc_y", "acc_z"].map((name) => columns.indexOf(name));
  const time = columns.indexOf("time");
  const unit = TIME_UNITS[report.time_unit];
  const scale = report.acc_unit === "g" ? GRAVITY : 1;
  if (report.format !== "csv" || acc.includes(-1))
    return null;

  const series = new Series();
  const delimiter = [",", ";", "\t"].find((c) => text.slice(0, 4096).includes(c)) ?? /\s+/;
  let n = 0;
  for (const line of text.split("\n")) {
    const cells = line.split(delimiter);
    const a = acc.map((i) => Number.parseFloat(cells[i]) * scale);
    const t = unit && time >= 0 ? Math.round(Number.parseFloat(cells[time]) * unit)
      : Math.round((n * 1e6) / report.rate_hz);
    if (!a.every(Number.isFinite) || !Number.isFinite(t) || t <= series.times.at(-1))
      continue;
    series.push(t, norm(a));
    n++;
  }
  return n > 0 ? series : null;
}

function addSteps(series, events) {
  for (const e of events) {
    if (e.type === "step.start")
      series.begin(e.step, e.t_ms * 1000);
    else
      series.end(e.step, e.t_ms * 1000);
  }
}

const rows = (n) => `${number(n)} ${n === 1 ? "row" : "rows"}`;

function duration(seconds) {
  if (seconds < 59.95)
    return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

function csvOf(events) {
  const rows = events.map((e) =>
    [e.type, e.step, e.t_ms, e.confidence, e.activity].join(","));
  return ["type,step,t_ms,confidence,activity", ...rows, ""].join("\n");
}

export function setUpRecording() {
  const trace = new Trace(byId("file-trace"));
  const overview = new Trace(byId("file-overview"), { axes: false });
  const position = byId("file-position");
  let events = [];
  let name = "";

  function say(state, text) {
    byId("file-state").dataset.state = state;
    byId("file-state").textContent = text;
  }

  function complain(text) {
    byId("file-note").textContent = text;
    byId("file-note").hidden = text === "";
  }

  function move() {
    const { times } = trace.series;
    const room_us = Math.max(times.at(-1) - times[0] - WINDOW_US, 0);
    const from_us = times[0] + (position.value / 1000) * room_us;
    trace.show({ from_us, to_us: from_us + WINDOW_US, origin_us: times[0] });
    overview.show({ from_us: times[0], to_us: times.at(-1), origin_us: times[0],
      window_us: [from_us, from_us + WINDOW_US] });
    position.setAttribute("aria-valuetext", `from ${((from_us - times[0]) / 1e6).toFixed(1)} s`);
  }

  function plot(series) {
    byId("file-plot").hidden = series === null;
    if (series === null)
      return;
    addSteps(series, events);
    trace.series = overview.series = series;
    const room_us = series.times.at(-1) - series.times[0] - WINDOW_US;
    const first_us = (series.steps[0]?.start_us ?? 0) - LEAD_US - series.times[0];
    position.value = room_us > 0 ? (1000 * first_us) / room_us : 0;
    move();
  }

  function showActivities(seconds) {
    const known = Object.entries(seconds ?? {}).filter(([, s]) => s > 0);
    byId("file-bar").replaceChildren(...known.map(([activity, s]) => {
      const part = document.createElement("span");
      part.className = `activity-${activity}`;
      part.style.flexGrow = s;
      return part;
    }));
    const words = known.map(([name, s]) => `${ACTIVITIES[name] ?? name} ${duration(s)}`);
    byId("file-bar").setAttribute("aria-label", words.join(", "));
    byId("file-activities").replaceChildren(...known.map(([activity], i) => {
      const item = document.createElement("li");
      const key = document.createElement("i");
      key.className = `activity-${activity}`;
      item.append(key, words[i]);
      return item;
    }));
  }

  function showFacts(rows) {
    byId("file-facts").replaceChildren(...rows.flatMap(([term, text, isFault]) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = term;
      dd.textContent = text;
      dd.classList.toggle("fault", isFault === true);
      return [dt, dd];
    }));
  }

  async function detect(file) {
    name = file.name;
    complain("");
    say("connecting", `Reading ${name}`);
    const begun = performance.now();
    let answer;
    try {
      const response = await fetch("v1/imu:detect", { method: "POST", body: file });
      answer = await response.json();
      if (!response.ok)
        throw new Error(answer.error);
    } catch (error) {
      byId("result").hidden = true;
      say("failed", "Failed");
      complain(`${name}: ${error.message}`);
      return;
    }
    byId("file-ms").textContent = Math.round(performance.now() - begun);
    events = answer.events;
    byId("result").hidden = false;
    showAnswer(answer);
    plot(file.size <= DRAWN_BYTES_MAX ? seriesOf(await file.text(), answer.input) : null);
    say("done", name);
  }

  function showAnswer(answer) {
    byId("file-count").textContent = number(answer.steps);
    byId("file-duration").textContent = duration(answer.duration_s);
    byId("file-readings").textContent = number(answer.samples);
    byId("file-cadence").textContent = answer.cadence === null ? "–" : Math.round(answer.cadence);
    showActivities(answer.activity_s);
    showFacts(factsOf(answer));
  }

  byId("file").addEventListener("change", (e) => {
    if (e.target.files.length > 0)
      detect(e.target.files[0]);
    e.target.value = ""; // the same file may be chosen again
  });
  const drop = byId("drop");
  for (const type of ["dragenter", "dragover"])
    drop.addEventListener(type, () => drop.classList.add("over"));
  for (const type of ["dragleave", "drop"])
    drop.addEventListener(type, () => drop.classList.remove("over"));
  // Anywhere on the page: a file that misses must not take the place of the page.
  window.addEventListener("dragover", (e) => e.preventDefault());
  window.addEventListener("drop", (e) => {
    e.preventDefault();
    if (e.dataTransfer.files.length > 0)
      detect(e.dataTransfer.files[0]);
  });
  position.addEventListener("input", move);
  byId("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOf(events)], { type: "text/csv" }));
    link.download = `${name.replace(/\.\w+$/, "")}-steps.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

const LEFT_OUT = {
  not_a_number: "not a number", not_finite: "not finite", out_of_range: "out of range",
};

// Rows of what the server says of the bytes: [term, text, whether it is a fault].
function factsOf(answer) {
  const { input, left_out: leftOut, gaps, bridged, warnings } = answer;
  const guessed = (text, what) => text + (input.guessed.includes(what) ? " (guessed)" : "");
  const rate = `${Number(input.rate_hz.toFixed(2))} Hz`;
  const counts = [["Same time twice", leftOut.duplicates], ["Out of order", leftOut.out_of_order],
    ["Short holes bridged", bridged], ["Gaps", gaps]];
  return [
    ...warnings.map((text) => ["Mind", text, true]),
    ["Format", input.format],
    ["Columns", input.columns],
    ["Rate", input.is_rate_assumed ? `${rate} (assumed)` : guessed(rate, "rate")],
    ["Time", input.time_unit === "none" ? "no column: by the rate"
      : guessed(input.time_unit, "time")],
    ["Acceleration", guessed(input.acc_unit, "acc")],
    ["Rotation", input.gyro_unit === "none" ? "none" : guessed(input.gyro_unit, "gyro")],
    ...Object.entries(LEFT_OUT).filter(([kind]) => leftOut[kind].n > 0).map(([kind, words]) =>
      [`Left out: ${words}`,
        `${rows(leftOut[kind].n)}, the first in line ${leftOut[kind].first_line}`, true]),
    ...counts.filter(([, n]) => n > 0).map(([term, n]) => [term, number(n), true]),
    ["Model", `${answer.model}, looks ${answer.look_ahead_ms} ms ahead`],
  ];
}
