// One line to the server that is opened again whenever it breaks, and says honestly how it is.

import { endpoint, session } from "./session.js";
import { askWho, follow, Refusal } from "./stream.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;
const SILENCE = 5000;

/**
 * Calls `hooks`, all of them methods:
 *
 * - `status({phase, text, retryAt})`: connecting, reading, live, waiting, refused or off;
 * - `identity(caller)`: who is signed in;
 * - `state(levels, warehouse)`: all that is in a warehouse, or in all, as it is now;
 * - `change(change, missed)`: a change; missed if it was made while the line was down;
 * - `returned({seconds, missed, done, reloaded})`: how it went on after the line was down; told
 *   again whenever more is known.
 */
export class Connection {
  #hooks;
  #places = new Map();
  #generation = 0;
  #wake = null;
  #wait = FIRST_WAIT;
  #lostAt = null;
  /** How it goes on after the line was down: since when it was, and what was missed. */
  #back = null;
  #client = null;

  constructor(hooks) {
    this.#hooks = hooks;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retry();
    });
  }

  /** Begin anew, for the caller that the session now has. */
  start() {
    this.stop();
    this.#places = new Map();
    this.#lostAt = null;
    this.#wait = FIRST_WAIT;
    this.#run(this.#generation);
  }

  /** Hang up. */
  stop() {
    this.#generation += 1;
    this.#back = null;
    this.#client?.dispose();
    this.#client = null;
    this.#wake?.();
    this.#hooks.status({ phase: "off", text: "Signed out" });
  }

  /** Do not wait any longer for the next attempt. */
  retry() {
    this.#wake?.();
  }

  async #run(generation) {
    while (generation === this.#generation) {
      this.#hooks.status({
        phase: "connecting",
        text: this.#lostAt === null ? "Connecting" : "Connecting again",
      });
      const why = await this.#attempt(generation);
      if (generation !== this.#generation) return;
      if (why instanceof Refusal) {
        this.#hooks.status({ phase: "refused", text: why.message, refusal: why });
        return;
      }
      // Broken again before it had caught up, it is still away since then.
      if (this.#back?.done) this.#back = null;
      if (this.#places.size) this.#lostAt ??= this.#back?.lostAt ?? Date.now();
      const wait = this.#wait * (0.8 + 0.4 * Math.random());
      this.#hooks.status({ phase: "waiting", text: why, retryAt: Date.now() + wait });
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
      await this.#pause(wait);
    }
  }

  /** Connect and follow until the line breaks; return why, or the refusal after which to stop. */
  async #attempt(generation) {
    try {
      const caller = await askWho();
      if (generation !== this.#generation) return "";
      this.#hooks.identity(caller);
      return await this.#follow(generation, caller);
    } catch (error) {
      if (error instanceof Refusal) return error;
      const unreachable = error instanceof TypeError || error.name === "TimeoutError";
      return unreachable ? "The server does not answer" : `Not connected: ${error.message}`;
    }
  }

  async #follow(generation, caller) {
    const current = () => generation === this.#generation;
    const client = (this.#client = open());
    const told = {
      state: (levels, warehouse) => {
        if (!current()) return;
        this.#hooks.state(levels, warehouse);
        this.#returned({ reloaded: true });
      },
      returning: () => {
        if (!current()) return;
        this.#hooks.status({ phase: "reading", text: "Catching up" });
        this.#returned();
      },
      ready: () => {
        if (!current()) return;
        this.#wait = FIRST_WAIT;
        this.#returned({ done: true });
        this.#hooks.status({ phase: "live", text: "Live" });
      },
      change: (change, missed) => {
        if (!current()) return;
        this.#hooks.change(change, missed);
        if (missed) this.#returned({ missed: 1 });
      },
    };
    if (!this.#places.size) this.#hooks.status({ phase: "reading", text: "Reading stock" });
    const detailed = caller.permissions.includes("stock.read");
    const end = await follow(client, { places: this.#places, detailed }, told);
    client.dispose();
    // A place that the log never gave is of another database: begin anew.
    if (end.errors?.[0].extensions?.code === "VALIDATION") this.#places.clear();
    return whyEnded(end);
  }

  // The way back is told at once, again as more of what was missed comes, and as done when the server
  // says that this was all.
  #returned({ missed = 0, reloaded = false, done = false } = {}) {
    if (this.#lostAt !== null) {
      this.#back ??= { lostAt: this.#lostAt, missed: 0, reloaded: false };
      this.#back.seconds = (Date.now() - this.#lostAt) / 1000;
      this.#lostAt = null;
    }
    const back = this.#back;
    if (back === null || back.done) return;
    back.missed += missed;
    back.reloaded ||= reloaded;
    back.done = done;
    this.#hooks.returned({ seconds: back.seconds, missed: back.missed, done, reloaded: back.reloaded });
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }).finally(() => (this.#wake = null));
  }
}

/** A client whose socket is dropped when the server stays silent, and which leaves trying to us. */
function open() {
  const url = new URL(endpoint, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  let silence;
  const client = graphqlWs.createClient({
    url: url.href,
    connectionParams: session.headers,
    retryAttempts: 0,
    keepAlive: 10_000,
    connectionAckWaitTimeout: 10_000,
    on: {
      ping: (received) => {
        if (!received) silence = setTimeout(() => client.terminate(), SILENCE);
      },
      pong: (received) => {
        if (received) clearTimeout(silence);
      },
      closed: () => clearTimeout(silence),
    },
  });
  return client;
}

function whyEnded({ errors, close }) {
  if (errors) return `Not connected: ${errors[0].message}`;
  if (close?.code === 4403) {
    return new Refusal(close.reason || "The credential is not accepted any more.", { signIn: true });
  }
  if (close?.code === 1001) return "The server was stopped";
  if (close?.code === 1013) return `The server is busy: ${close.reason}`;
  return "The connection broke";
}
