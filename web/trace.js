// SPDX-License-Identifier: MIT
// A drawing of |a| over time with the steps found in it, as bands of two alternating colours.

const GRAVITY = 9.80665;
const REDRAW_MS = 1000; // for who wants no motion
const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");

export const norm = ([x, y, z]) => Math.hypot(x, y, z);

// Index of the first of sorted values that is >= value.
function lowerBound(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Values over time, and steps: {number, start_us, end_us (null: it goes on)}, all in order.
export class Series {
  times = []; // us
  values = [];
  steps = [];

  push(t_us, value) {
    if (t_us <= this.times.at(-1)) // the sensor's clock stepped back: what was drawn is of no use
      this.clear();
    this.times.push(t_us);
    this.values.push(value);
  }

  // A step that is told again, after a reconnect, takes the place of what was known of it.
  begin(number, t_us) {
    this.steps = this.steps.filter((s) => s.number !== number);
    this.steps.push({ number, start_us: t_us, end_us: null });
  }

  end(number, t_us) {
    const step = this.steps.findLast((s) => s.number === number);
    if (step !== undefined)
      step.end_us = t_us;
  }

  // All before it.
  forget(t_us) {
    const n = lowerBound(this.times, t_us);
    if (n < 1024) // not each time
      return;
    this.times.splice(0, n);
    this.values.splice(0, n);
    this.steps = this.steps.filter((s) => s.end_us === null || s.end_us > t_us);
  }

  // Those that begin then or later.
  forgetSteps(t_us) {
    this.steps = this.steps.filter((s) => s.start_us < t_us);
  }

  clear() {
    this.times = [];
    this.values = [];
    this.steps = [];
  }
}

// options: from_us, to_us; origin_us, from which seconds are counted; window_us [from, to], which
// is framed; range [low, high] of values; axes: with labels.
function draw(context, width, height, style, series, options) {
  const { from_us, to_us, origin_us, range: [low, high], axes } = options;
  const x = (t) => ((t - from_us) / (to_us - from_us)) * width;
  const y = (v) => height - ((v - low) / (high - low)) * height;

  context.clearRect(0, 0, width, height);
  drawSteps(context, height, style, series.steps, x, from_us, to_us, axes);
  context.strokeStyle = style.line;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, y(GRAVITY));
  context.lineTo(width, y(GRAVITY));
  if (axes) {
    const step = secondsBetweenMarks((to_us - from_us) / 1e6) * 1e6;
    const first = origin_us + Math.ceil((from_us - origin_us) / step) * step;
    for (let t = first; t <= to_us; t += step) {
      const at = Math.round(x(t)) + 0.5;
      context.moveTo(at, height);
      context.lineTo(at, height - 5);
    }
  }
  context.stroke();
  drawValues(context, width, style, series, options, x, y);
  if (options.window_us !== undefined)
    drawFrame(context, height, style, ...options.window_us.map(x));
  if (axes)
    drawLabels(context, width, height, style, options, y);
}

const secondsBetweenMarks = (span) => [0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800]
  .find((s) => span / s <= 12) ?? 3600;

function drawSteps(context, height, style, all, x, from_us, to_us, axes) {
  const steps = all.filter((s) => s.start_us < to_us && (s.end_us ?? to_us) > from_us);
  const mean = (x(to_us) - x(from_us)) / Math.max(steps.length, 1);
  const each = [1, 2, 5, 10, 20, 50].find((n) => n * mean > 24) ?? Infinity; // is numbered

  context.textAlign = "center";
  for (const { number, start_us, end_us } of steps) {
    const left = x(start_us);
    const width = Math.max(x(end_us ?? to_us) - left, 0.5);
    context.fillStyle = number % 2 ? style.odd : style.even;
    context.globalAlpha = end_us === null ? 0.1 : 0.2;
    context.fillRect(left, 0, width, height);
    context.globalAlpha = 1;
    if (!axes || end_us === null)
      continue;
    context.fillRect(left, 0, width, 3);
    if (number % each === 0)
      context.fillText(number, left + width / 2, 16);
  }
}

function drawFrame(context, height, style, left, right) {
  context.fillStyle = context.strokeStyle = style.accent;
  context.globalAlpha = 0.15;
  context.fillRect(left, 0, right - left, height);
  context.globalAlpha = 1;
  context.lineWidth = 2;
  context.strokeRect(left + 1, 1, Math.max(right - left - 2, 2), height - 2);
}

// As a line; where many values share a pixel, from the least to the greatest of them.
function drawValues(context, width, style, { times, values }, { from_us, to_us, axes }, x, y) {
  const begin = Math.max(lowerBound(times, from_us) - 1, 0);
  const end = Math.min(lowerBound(times, to_us) + 1, times.length);

  context.strokeStyle = axes ? style.ink : style.muted;
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  context.beginPath();
  if (end - begin > 4 * width) {
    for (let column = 0, i = begin; column < width && i < end; column++) {
      const until = lowerBound(times, from_us + ((column + 1) / width) * (to_us - from_us));
      let least = Infinity;
      let most = -Infinity;
      for (; i < until; i++) {
        least = Math.min(least, values[i]);
        most = Math.max(most, values[i]);
      }
      if (most >= least) {
        context.moveTo(column + 0.5, y(least) + 0.5);
        context.lineTo(column + 0.5, y(most) - 0.5);
      }
    }
  } else {
    for (let i = begin; i < end; i++) {
      const isHole = i > begin && times[i] - times[i - 1] > 200_000;
      context[i === begin || isHole ? "moveTo" : "lineTo"](x(times[i]), y(values[i]));
    }
  }
  context.stroke();
}

function drawLabels(context, width, height, style, options, y) {
  const { from_us, to_us, origin_us } = options;
  const second = (t) => `${((t - origin_us) / 1e6).toFixed(1)} s`;
  const label = (text, left, bottom) => { // readable on top of the line
    context.lineWidth = 4;
    context.strokeStyle = style.card;
    context.strokeText(text, left, bottom);
    context.fillText(text, left, bottom);
  };

  context.fillStyle = style.muted;
  context.textAlign = "left";
  label(second(from_us), 4, height - 8);
  label("9.8", 4, y(GRAVITY) + 4);
  context.textAlign = "right";
  label(second(to_us), width - 4, height - 8);
}

// What holds the values from begin to end, in steps of 2 m/s², so that it seldom changes.
function rangeOf(values, begin, end) {
  let [low, high] = [8, 12];
  for (let i = begin; i < end; i++) {
    low = Math.min(low, 2 * Math.floor((values[i] - 0.5) / 2));
    high = Math.max(high, 2 * Math.ceil((values[i] + 0.5) / 2));
  }
  return [low, high];
}

// Draws a part of a series on a canvas, at most once a frame, in the page's colours.
export class Trace {
  series = new Series();
  view = null; // {from_us, to_us, origin_us}
  #canvas;
  #axes;
  #frame = 0;
  #timer = 0;
  #drawn_ms = -Infinity;

  constructor(canvas, { axes = true } = {}) {
    this.#canvas = canvas;
    this.#axes = axes;
    new ResizeObserver(() => this.redraw()).observe(canvas);
    window.matchMedia("(prefers-color-scheme: dark)")
      .addEventListener("change", () => this.redraw());
  }

  show(view) {
    this.view = view;
    const pause = this.#drawn_ms + REDRAW_MS - performance.now();
    if (!CALM.matches || pause <= 0)
      this.redraw();
    else if (this.#timer === 0)
      this.#timer = setTimeout(() => this.redraw(), pause);
  }

  redraw() {
    if (this.#frame === 0)
      this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #style() {
    const style = getComputedStyle(this.#canvas);
    const of = (name) => style.getPropertyValue(name).trim();
    return { ink: of("--ink"), muted: of("--muted"), line: of("--line"), odd: of("--odd"),
      even: of("--even"), accent: of("--accent"),
      card: of("--card"), font: style.fontFamily };
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    const style = this.#style();

    this.#frame = 0;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#drawn_ms = performance.now();
    if (this.#canvas.width !== Math.round(width * scale) ||
        this.#canvas.height !== Math.round(height * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.font = `11px ${style.font}`;
    const view = this.view ?? { from_us: 0, to_us: 1e7, origin_us: 0 };
    const { times, values } = this.series;
    const range = rangeOf(values, lowerBound(times, view.from_us), lowerBound(times, view.to_us));
    draw(context, width, height, style, this.series, { ...view, range, axes: this.#axes });
  }
}
