// SPDX-License-Identifier: MIT
// One chart: a card with a title, lines over time by uPlot, and a legend that says what they are at
// the cursor, or now.

import uPlot from "./uPlot.esm.js";

const HEIGHT = 168;
const SYNC = uPlot.sync("performance");
const SPAN_MIN_S = 60; // of the axis, as long as less is known

export const css = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const element = (tag, properties = {}, ...children) => {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
};

// Three digits are what one reads.
export function figure(v) {
  if (v === null || v === undefined || Number.isNaN(v))
    return "–";
  const digits = v >= 100 || v === 0 ? 0 : v >= 10 ? 1 : 2;
  return v.toLocaleString("en", { maximumFractionDigits: digits }).replaceAll(",", "\u202f");
}

const clock = (s) => new Date(s * 1000).toLocaleTimeString("en-GB");

const tick = (v) => {
  if (v >= 1e6)
    return `${v / 1e6} M`;
  return v >= 1e4 ? `${v / 1e3} k` : String(+v.toPrecision(6));
};

export class Chart {
  #plot = null;
  #shape = ""; // of the lines that the plot was made for
  #lines = [];
  #times = [];
  #unit = "";

  // spec: title, unit(rows), lines(history, rows) -> [{name, values, color}], max: top of the axis.
  constructor(spec) {
    this.spec = spec;
    this.plot = element("div", { className: "plot" });
    this.legend = element("ul", { className: "legend" });
    this.nothing = element("p", { className: "nothing", textContent: "nothing in this time" });
    this.unit = element("small");
    this.root = element("figure", { className: "chart", role: "group", ariaLabel: spec.title },
      element("h2", {}, spec.title, this.unit),
      this.plot, this.nothing, element("figcaption", {}, this.legend));
    new ResizeObserver(() => this.#resize()).observe(this.plot);
  }

  #resize() {
    const width = this.plot.clientWidth;
    if (this.#plot !== null && width > 0 && width !== this.#plot.width)
      this.#plot.setSize({ width, height: HEIGHT });
  }

  // Colours have changed.
  forget() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  show(history, rows, span_s) {
    const from = history.times.findIndex((t) => t >= history.times.at(-1) - span_s);
    this.#times = history.times;
    this.#unit = this.spec.unit(rows);
    this.#lines = this.spec.lines(history, rows)
      .filter((l) => l.values.some((v, i) => i >= from && v !== null));
    this.nothing.hidden = this.#lines.length > 0;
    const shape = JSON.stringify(this.#lines.map((l) => [l.name, l.color]));
    const end = this.#times.at(-1) ?? Date.now() / 1000;
    const known_s = end - (this.#times[0] ?? end);
    this.window = [end - Math.min(span_s, Math.max(known_s, SPAN_MIN_S)), end];
    const data = [this.#times, ...this.#lines.map((l) => l.values)];
    if (this.#plot === null || shape !== this.#shape) {
      this.forget();
      this.#shape = shape;
      this.#plot = new uPlot(this.#options(), data, this.plot);
    } else {
      this.#plot.setData(data);
    }
    this.#tell(this.#plot.cursor.idx);
  }

  #options() {
    const ink = css("--muted");
    const axis = {
      stroke: ink, font: "11px system-ui", grid: { stroke: css("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: Math.max(this.plot.clientWidth, 100),
      height: HEIGHT,
      padding: [8, 22, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: SYNC.key, setSeries: false }, drag: { x: false, y: false }, y: false,
        points: { size: 6 },
      },
      scales: {
        x: { time: true, range: () => this.window },
        y: { range: (_, low, high) => [0, this.spec.max ?? (high > 0 ? high * 1.15 : 1)] },
      },
      axes: [
        { ...axis, space: 70, size: 26,
          values: (_, values) => values.map((s) => clock(s)) },
        { ...axis, space: 34, size: 48, gap: 4, values: (_, values) => values.map(tick) },
      ],
      series: [{}, ...this.#lines.map((l) => ({
        label: l.name, stroke: css(l.color), width: 1.75,
        points: { show: false, filter: (u, i) => lonely(u.data[i]), size: 4 }, spanGaps: false,
      }))],
      hooks: { setCursor: [(u) => this.#tell(u.cursor.idx)] },
    };
  }

  // The legend says the figures at that place; without one the last there are.
  #tell(index) {
    const at = index ?? this.#times.length - 1;
    const isNow = index === null || index === undefined;
    this.legend.replaceChildren(...this.#lines.map((l) => {
      const mark = element("i");
      mark.style.background = css(l.color);
      const value = isNow ? l.values.findLast((v) => v !== null) : l.values[at];
      return element("li", {}, mark, l.name, element("b", { textContent: figure(value) }));
    }));
    this.unit.textContent = isNow ? this.#unit : `${this.#unit} · ${clock(this.#times[at])}`;
  }
}

// The points between nothings, which draw no line. null: there are none.
function lonely(values) {
  const found = [];
  values.forEach((v, i) => {
    if (v !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null)
      found.push(i);
  });
  return found.length > 0 ? found : null;
}
