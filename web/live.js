// SPDX-License-Identifier: MIT
// Live: this device's sensor -> the server -> its steps.

import { Link } from "./link.js";
import { startSensor } from "./sensor.js";
import { Trace, norm } from "./trace.js";
import { ACTIVITIES, byId, number } from "./words.js";

const WINDOW_US = 10_000_000;
const STILL_US = 2_500_000;     // without a step this long there is no cadence
const CADENCE_STEPS = 6;
const SECOND_US = 1_000_000;

const STATES = {
  idle: "Not started", asking: "Asking for the sensor", connecting: "Connecting", live: "Live",
  offline: "No connection: trying again", replaced: "Goes on elsewhere", failed: "Failed",
  stopped: "Stopped",
};

const NOTES = {
  insecure: () => `Browsers give a page the motion sensor only over HTTPS or on localhost, and \
this page came by ${location.protocol}//${location.host}.
Start the server with a certificate, then open https:// here:
volley serve --set tls.certificate=cert.pem --set tls.key=key.pem
Recordings work either way.`,
  refused: () => "The browser was told not to give this page the motion sensor. Allow \"motion and \
orientation\" (or \"motion sensors\") for it in the settings of the site, then start again.",
  missing: () => "This device has no motion sensor, or its browser gives none. Open this page on a \
phone, or drop a recording here.",
  replaced: () => "Another page of this device has taken the session over. Start to take it back.",
};

// A name of this browser's own, so that a reload goes on with its session.
function deviceName() {
  const key = "volley.device";
  const fresh = `web-${Array.from(crypto.getRandomValues(new Uint8Array(6)),
    (b) => b.toString(16).padStart(2, "0")).join("")}`;
  try {
    const known = localStorage.getItem(key);
    if (known === null)
      localStorage.setItem(key, fresh);
    return known ?? fresh;
  } catch { // storage is refused
    return fresh;
  }
}

function streamUrl(device, hasGyro) {
  const url = new URL("v1/stream", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams({ kind: "steps", user: "web", device, gyro: hasGyro });
  return url;
}

class Live {
  #trace = new Trace(byId("trace"));
  #device = deviceName();
  #link = null;
  #stopSensor = null;
  #wakeLock = null;
  #count = 0;
  #before = 0;        // steps of sessions that the server has lost
  #ends = new Map();  // number of a step -> us, of this session as far as the page has seen it
  #begun_us = null;   // of the first reading
  #now_us = 0;        // and the latest
  #nReadings = 0;
  #nConnects = 0;
  #rateSince_us = 0;
  #nRate = 0;

  constructor() {
    byId("device").textContent = this.#device;
    byId("start").addEventListener("click", () => this.start());
    byId("stop").addEventListener("click", () => this.stop());
    byId("reset").addEventListener("click", () => this.#link?.tell({ action: "reset" }));
    window.addEventListener("online", () => this.#link?.retry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") {
        this.#link?.retry();
        this.#stayAwake();
      }
    });
    if (!window.isSecureContext)
      this.#note("insecure");
  }

  async start() {
    this.#note(null);
    this.#state("asking");
    byId("start").disabled = true;
    try {
      this.#stopSensor = await startSensor((r) => this.#take(r));
      this.#buttons(true);
      this.#stayAwake();
    } catch (error) {
      this.#state("failed");
      this.#note(error.kind);
    }
    byId("start").disabled = false;
  }

  stop(state = "stopped") {
    this.#stopSensor?.();
    this.#stopSensor = null;
    this.#link?.close();
    this.#link = null;
    this.#wakeLock?.release();
    this.#wakeLock = null;
    this.#state(state);
    this.#buttons(false);
  }

  #state(name, detail = "") {
    byId("state").dataset.state = name;
    byId("state").textContent = STATES[name] + (detail ? `: ${detail}` : "");
  }

  #note(kind, text = kind && NOTES[kind]()) {
    byId("note").hidden = !text;
    byId("note").textContent = text ?? "";
  }

  #buttons(isRunning) {
    byId("start").hidden = isRunning;
    byId("stop").hidden = !isRunning;
    byId("reset").disabled = !isRunning;
    byId("idle").hidden = true;
  }

  // The screen must stay on: a phone that sleeps gives no readings.
  async #stayAwake() {
    if (this.#stopSensor === null)
      return;
    try {
      this.#wakeLock = await navigator.wakeLock?.request("screen");
    } catch { // low battery, or not allowed: the page works without
    }
  }

  // ---- from the sensor ----

  #take(reading) {
    if (this.#link === null)
      this.#connect(reading.gyro !== null);
    reading.gyro ??= [0, 0, 0];
    this.#link.push(reading);
    this.#begun_us ??= reading.t_us;
    this.#now_us = reading.t_us;
    this.#nReadings++;
    this.#trace.series.push(reading.t_us, norm(reading.acc));
    this.#measureRate();
    this.#show();
  }

  #measureRate() {
    this.#nRate++;
    const span = this.#now_us - this.#rateSince_us;
    if (span < SECOND_US)
      return;
    if (span < 3 * SECOND_US)
      byId("rate").textContent = Math.round((this.#nRate * SECOND_US) / span);
    this.#rateSince_us = this.#now_us;
    this.#nRate = 0;
    this.#showCadence();
  }

  #show() {
    const to_us = this.#now_us;
    this.#trace.series.forget(to_us - 2 * WINDOW_US);
    this.#trace.show({ from_us: to_us - WINDOW_US, to_us, origin_us: this.#begun_us });
    byId("readings").textContent = number(this.#nReadings);
    this.#showWaiting();
  }

  #showWaiting() {
    byId("waiting").textContent = number(this.#link?.waiting ?? 0);
  }

  // ---- from the server ----

  #connect(hasGyro) {
    this.#link = new Link(streamUrl(this.#device, hasGyro), hasGyro, {
      state: (name, detail) => this.#onState(name, detail),
      session: (message, from_us) => this.#onSession(message, from_us),
      event: (message) => this.#onEvent(message),
      confirmed: () => this.#showWaiting(),
      lost: () => this.#note(null, "There has been no connection for so long that the oldest \
readings had to be given up."),
    });
  }

  #onState(name, detail) {
    if (name === "replaced" || name === "failed") {
      this.stop(name);
      this.#note(name === "replaced" ? name : null, name === "failed" ? detail : undefined);
    } else {
      this.#state(name);
      this.#nConnects += name === "connecting";
      byId("reconnects").textContent = Math.max(this.#nConnects - 1, 0);
    }
  }

  // A session that begins anew gets the readings from from_us on, and so counts their steps again.
  #onSession(message, from_us) {
    if (from_us !== undefined && this.#nConnects > 1) {
      const nAgain = [...this.#ends.values()].filter((t_us) => t_us >= from_us).length;
      this.#before = this.#count - nAgain - message.steps;
      this.#ends.clear();
      this.#trace.series.forgetSteps(from_us);
    }
    byId("session").textContent = message.session;
    this.#setCount(message.steps);
  }

  #onEvent(message) {
    const { series } = this.#trace;
    const t_us = message.t_ms * 1000;
    if (message.type === "step.start") {
      series.begin(message.step, t_us);
    } else if (message.type === "step.end") {
      series.end(message.step, t_us);
      this.#ends.set(message.step, t_us);
      this.#setCount(message.step);
      this.#showCadence();
    } else if (message.type === "reset") {
      this.#before = 0;
      this.#ends.clear();
      series.forgetSteps(-Infinity);
      this.#setCount(message.steps);
    }
    if (message.activity !== undefined)
      byId("activity").textContent = ACTIVITIES[message.activity] ?? message.activity;
    this.#trace.show(this.#trace.view);
    this.#showDelay(t_us);
  }

  #setCount(steps) {
    this.#count = this.#before + steps;
    byId("count").textContent = number(this.#count);
  }

  // From the instant that the event speaks of until the page knows of it: by one clock, this one.
  #showDelay(t_us) {
    const delay_ms = performance.timeOrigin + performance.now() - t_us / 1000;
    if (delay_ms >= 0 && delay_ms < 10_000)
      byId("delay").textContent = Math.round(delay_ms);
  }

  #showCadence() {
    const ends = [...this.#ends.values()].slice(-CADENCE_STEPS);
    const isWalking = ends.length > 1 && this.#now_us - ends.at(-1) < STILL_US;
    byId("cadence").textContent = isWalking
      ? Math.round((60 * SECOND_US * (ends.length - 1)) / (ends.at(-1) - ends[0])) : "–";
  }
}

export function setUpLive() {
  new Live();
}
