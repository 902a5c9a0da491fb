// SPDX-License-Identifier: MIT
// The last five minutes as the page has them: columns of equal length, one place for each second.

const POINTS = 300;
const RECENT = 10; // seconds that "now" is told by

export const FIELDS = ["computed", "cached", "failed", "p50_ms", "p95_ms", "p99_ms", "queue_p95_ms",
  "pending", "batch", "hit_ratio"];

const nulls = (n) => new Array(n).fill(null);

// A model, or an arm of a route.
class Row {
  constructor({ route, model, version }, n) {
    this.key = JSON.stringify([route, model, version]);
    this.route = route;
    this.model = model;
    this.version = version;
    this.columns = Object.fromEntries(FIELDS.map((f) => [f, nulls(n)]));
  }

  get name() {
    const model = `${this.model} ${this.version}`.trim();
    return this.route === null ? model : `${this.route} → ${model}`;
  }

  recent(field) {
    return this.columns[field].slice(-RECENT).filter((v) => v !== null);
  }

  mean(field) {
    const values = this.recent(field);
    return values.length > 0 ? values.reduce((a, b) => a + b) / values.length : null;
  }

  worst(field) {
    const values = this.recent(field);
    return values.length > 0 ? Math.max(...values) : null;
  }
}

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.last = 0;
    this.started_ms = null;
    this.times = []; // seconds since 1970
    this.cpu = [];
    this.resident = []; // MiB
    this.rows = new Map();
    this.report = {};
  }

  // What the server answered. False: it is of another server than what came before.
  add(answer) {
    const moved_ms = Math.abs(answer.started_ms - (this.started_ms ?? answer.started_ms));
    if (moved_ms > 2000 || answer.last < this.last)
      return false;
    const n = answer.times_ms.length;
    if (answer.last - this.last > n) // too long away: the server has forgotten what is missing
      this.clear();
    this.started_ms = answer.started_ms;
    this.last = answer.last;
    this.report = answer;
    this.#push(this.times, answer.times_ms.map((t) => t / 1000));
    this.#push(this.cpu, answer.process.cpu_percent);
    this.#push(this.resident, answer.process.resident_bytes.map((b) => b / 2 ** 20));
    this.#addRows(answer.series, n);
    return true;
  }

  #push(column, values) {
    column.push(...values);
    column.splice(0, column.length - POINTS);
  }

  #addRows(series, n) {
    const before = this.times.length - Math.min(n, this.times.length);
    const seen = new Set();
    for (const s of series) {
      const fresh = new Row(s, before);
      const row = this.rows.get(fresh.key) ?? fresh;
      this.rows.set(row.key, row);
      seen.add(row.key);
      for (const f of FIELDS)
        this.#push(row.columns[f], s[f]);
    }
    for (const [key, row] of this.rows) {
      if (seen.has(key))
        continue;
      for (const f of FIELDS)
        this.#push(row.columns[f], nulls(n));
      if (row.columns.computed.every((v) => v === null))
        this.rows.delete(key);
    }
  }

  models() {
    return [...this.rows.values()].filter((r) => r.route === null);
  }

  // Second by second over all models; arms are requests of these.
  sum(field) {
    const columns = this.models().map((r) => r.columns[field]);
    return this.times.map((_, i) => columns.reduce((sum, c) => sum + (c[i] ?? 0), 0));
  }
}

export const recentMean = (values) => {
  const recent = values.slice(-RECENT);
  return recent.length > 0 ? recent.reduce((a, b) => a + b) / recent.length : null;
};
