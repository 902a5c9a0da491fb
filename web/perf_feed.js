// SPDX-License-Identifier: MIT
// Asks the server for what is new, once a second, and goes on asking when it is away.

const TIMEOUT_MS = 5000;
const RETRY_MAX_MS = 10000;
const KEY = "volley-key"; // in the tab's own storage: gone with it

export class Feed {
  #history;
  #told;
  #timer = 0;
  #retry_ms = 1000;
  #paused = false;

  // told(state, why): "live", "offline" or "locked", after each attempt.
  constructor(history, told) {
    this.#history = history;
    this.#told = told;
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  start() {
    this.#wake();
  }

  pause(paused) {
    this.#paused = paused;
    this.#wake();
  }

  useKey(key) {
    sessionStorage.setItem(KEY, key);
    this.#wake();
  }

  // At once, instead of when it was to be; not at all while nobody looks.
  #wake() {
    clearTimeout(this.#timer);
    if (!this.#paused && !document.hidden)
      this.#timer = setTimeout(() => this.#ask());
  }

  async #ask() {
    const next_ms = await this.#attempt();
    clearTimeout(this.#timer);
    if (next_ms !== null && !this.#paused && !document.hidden)
      this.#timer = setTimeout(() => this.#ask(), next_ms);
  }

  // When to ask again; null: not before there is a key.
  async #attempt() {
    try {
      const response = await this.#fetch();
      if (response.status === 401 || response.status === 403) {
        this.#told("locked", (await response.json()).error);
        return null;
      }
      if (!response.ok)
        throw new Error(`the server answers ${response.status}`);
      const answer = await response.json();
      if (!this.#history.add(answer)) { // it was restarted: from the beginning
        this.#history.clear();
        return 0;
      }
      this.#retry_ms = 1000;
      this.#told("live", "");
      return answer.interval_ms;
    } catch (e) {
      this.#told("offline", e.name === "TimeoutError" ? "no answer in 5 s" : e.message);
      const wait_ms = this.#retry_ms;
      this.#retry_ms = Math.min(2 * wait_ms, RETRY_MAX_MS);
      return wait_ms;
    }
  }

  #fetch() {
    const key = sessionStorage.getItem(KEY);
    return fetch(`v1/performance?since=${this.#history.last}`, {
      headers: key === null ? {} : { Authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  }
}
