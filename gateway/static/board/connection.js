// One line to the server that is opened again whenever it breaks, and says honestly how it is.

import { endpoint, session } from "./session.js";
import { askWho, follow, Refusal } from "./stream.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;
const SILENCE = 5000;
const QUIET = 2000;

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
    clearTimeout(this.#back?.timer);
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
      this.#settle();
      this.#back = null;
      if (why instanceof Refusal) {
        this.#hooks.status({ phase: "refused", text: why.message, refusal: why });
        return;
      }
      if (this.#places.size) this.#lostAt ??= Date.now();
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
        this.#returned(caller, true);
      },
      ready: () => {
        if (!current()) return;
        this.#returned(caller, false);
        this.#wait = FIRST_WAIT;
        this.#hooks.status({ phase: "live", text: "Live" });
      },
      change: (change) => {
        if (!current()) return;
        const missed = Date.parse(change.at) <= (this.#back?.until ?? 0);
        this.#hooks.change(change, missed);
        if (missed) this.#count();
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

  // The way back is told at once, again as more of what was missed comes, and as done when nothing
  // of it came for a while. The server does not tell the end of it: what still comes is counted too.
  #returned(caller, reloaded) {
    if (this.#lostAt !== null) {
      const seconds = (Date.now() - this.#lostAt) / 1000;
      this.#back = { seconds, until: caller.serverTime, missed: 0, done: false, reloaded: false };
      this.#lostAt = null;
    }
    if (this.#back === null) return;
    this.#back.reloaded ||= reloaded;
    this.#expect();
  }

  #count() {
    this.#back.missed += 1;
    this.#expect();
  }

  #expect() {
    this.#back.done = false;
    this.#tell();
    clearTimeout(this.#back.timer);
    this.#back.timer = setTimeout(() => this.#settle(), QUIET);
  }

  #settle() {
    if (this.#back === null || this.#back.done) return;
    clearTimeout(this.#back.timer);
    this.#back.done = true;
    this.#tell();
  }

  #tell() {
    const { seconds, missed, done, reloaded } = this.#back;
    this.#hooks.returned({ seconds, missed, done, reloaded });
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
