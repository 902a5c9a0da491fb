// SPDX-License-Identifier: MIT
// The connection of a session. Readings are numbered from where the server says; what it has not
// confirmed is kept and sent again after a reconnect, so that nothing is lost or counted twice.

import { PACKET_MAX, encodePacket } from "./packet.js";

const PACKET_US = 50_000;       // a packet is this long, by the sensor's clock
const TAIL_MS = 120;            // or this old, when the sensor falls silent
const KEEP_MAX = 120_000;       // readings not confirmed: 20 minutes at 100 Hz
const BUFFERED_MAX = 1 << 18;   // bytes that wait in the browser
const RETRY_MS = [250, 500, 1000, 2000, 4000, 8000];
const REFUSED_MS = 250;         // until what the server had no room for is sent again
const REFUSED_MAX = 20;         // in a row

export class Link {
  #url;
  #on;
  #hasGyro;
  #socket = null;
  #isReady = false;     // the session's first message has come
  #isClosed = false;
  #kept = [];           // readings from number #base on
  #base = 0;
  #sent = 0;            // number of the first that is not on its way
  #isNumbered = false;
  #tailTimer = 0;
  #retryTimer = 0;
  #nRetries = 0;
  #nRefused = 0;
  #refusedAt = -1;      // number of the reading that was not taken
  #isPaused = false;    // since then

  // on: state(name, detail): "connecting", "live", "offline", "replaced" or "failed";
  // session(message, from_us): it goes on, or begins anew (then with the time of the first reading
  // that it will get; else undefined); event(message); confirmed(): fewer readings wait; lost():
  // one that was never sent was given up.
  constructor(url, hasGyro, on) {
    this.#url = url;
    this.#hasGyro = hasGyro;
    this.#on = on;
    this.#connect();
  }

  get waiting() {
    return this.#kept.length;
  }

  push(reading) {
    if (this.#kept.length === KEEP_MAX) {
      if (this.#sent === this.#base)
        this.#on.lost();
      this.#forget(1);
    }
    this.#kept.push(reading);
    const first = this.#kept[this.#sent - this.#base];
    if (reading.t_us - first.t_us >= PACKET_US)
      this.#flush();
    else if (this.#tailTimer === 0)
      this.#tailTimer = setTimeout(() => this.#flush(), TAIL_MS);
  }

  // At once, instead of after the pause between attempts.
  retry() {
    if (this.#socket === null && !this.#isClosed)
      this.#connect();
  }

  // What was pushed goes out first. Without a connection nothing happens.
  tell(message) {
    this.#flush();
    if (this.#isReady)
      this.#socket.send(JSON.stringify(message));
  }

  // What was pushed goes out first.
  close() {
    this.#flush();
    this.#end();
    this.#socket?.close(1000);
  }

  #end() {
    this.#isClosed = true;
    clearTimeout(this.#tailTimer);
    clearTimeout(this.#retryTimer);
  }

  // The oldest n.
  #forget(n) {
    this.#kept.splice(0, n);
    this.#base += n;
    this.#sent = Math.max(this.#sent, this.#base);
  }

  #flush() {
    clearTimeout(this.#tailTimer);
    this.#tailTimer = 0;
    while (this.#isReady && !this.#isPaused && this.#socket.bufferedAmount < BUFFERED_MAX) {
      const at = this.#sent - this.#base;
      const some = this.#kept.slice(at, at + PACKET_MAX);
      if (some.length === 0)
        break;
      this.#socket.send(encodePacket(some, this.#sent, this.#hasGyro));
      this.#sent += some.length;
    }
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.#on.state("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onmessage = (e) => this.#receive(JSON.parse(e.data));
    socket.onclose = (e) => this.#lose(socket, e);
  }

  #receive(message) {
    if (message.type === "session") {
      this.#begin(message);
    } else if (message.type === "ack") {
      this.#forget(Math.max(0, Math.min(message.next, this.#sent) - this.#base));
      this.#on.confirmed();
    } else if (message.type === "session.replaced") {
      this.#end();
      this.#on.state("replaced");
    } else if (message.type === "error") {
      this.#goBack(message);
    } else {
      this.#on.event(message);
    }
  }

  // The session goes on at message.next: what was kept before that is known to the server. Where it
  // has begun anew, or knows less than what is kept, the numbers of what is kept begin there.
  #begin(message) {
    const goesOn = this.#isNumbered && message.next >= this.#base &&
      message.next <= this.#base + this.#kept.length;
    if (goesOn)
      this.#forget(message.next - this.#base);
    else
      this.#base = message.next;
    this.#sent = this.#base;
    this.#isNumbered = true;
    this.#isReady = true;
    this.#nRetries = 0;
    this.#on.state("live");
    this.#on.session(message, goesOn ? undefined : this.#kept[0]?.t_us ?? Infinity);
    this.#flush();
  }

  // Something was not taken, as a rule because too much came at once: from there on again, later.
  // What was on its way behind it is refused, too, for the hole.
  #goBack(message) {
    this.#sent = Math.max(this.#base, Math.min(message.next, this.#sent));
    if (this.#isPaused)
      return;
    this.#nRefused = message.next > this.#refusedAt ? 0 : this.#nRefused + 1;
    this.#refusedAt = message.next;
    if (this.#nRefused === REFUSED_MAX) {
      this.#end();
      this.#socket.close(1000);
      this.#on.state("failed", message.error);
      return;
    }
    this.#isPaused = true;
    setTimeout(() => {
      this.#isPaused = false;
      this.#flush();
    }, REFUSED_MS);
  }

  #lose(socket, event) {
    if (this.#socket !== socket)
      return;
    this.#socket = null;
    this.#isReady = false;
    this.#sent = this.#base;
    if (this.#isClosed)
      return;
    this.#on.state("offline", event.reason);
    const pause = RETRY_MS[Math.min(this.#nRetries++, RETRY_MS.length - 1)];
    this.#retryTimer = setTimeout(() => this.#connect(), pause * (0.75 + Math.random() / 2));
  }
}
