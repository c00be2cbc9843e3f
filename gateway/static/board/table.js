// The table: only the rows in sight are elements, however many there are.

import { shown, signed } from "./decimal.js";

const SPARE = 6;
const RECENT = 10_000;
const MOST_MOVING = 12;
const STATE_NAMES = { ok: "In stock", low: "Low", out: "Out" };

export class Table {
  /** Id of the row that is chosen by keyboard or click. */
  chosen = null;
  /** Called with a row, or null, when the user opens one. */
  onOpen = () => {};

  #view;
  #scroller = document.getElementById("scroller");
  #table = document.getElementById("table");
  #body = document.getElementById("rows");
  #above = spacer();
  #below = spacer();
  #cells = new Map();
  #places = new Map();
  #height = 48;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(view) {
    this.#view = view;
    this.#body.append(this.#above, this.#below);
    this.#scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.#measure()).observe(this.#scroller);
    this.#table.addEventListener("keydown", (event) => this.#key(event));
    this.#body.addEventListener("click", (event) => {
      const element = event.target.closest("tr[data-id]");
      if (element) this.#choose(element.dataset.id, true);
    });
  }

  /** Whether somebody reads here, so that rows must not move under their eyes. */
  get held() {
    return this.#scroller.scrollTop > 1 || (this.chosen !== null && this.focused);
  }
  get focused() {
    return document.activeElement === this.#table;
  }
  focus() {
    this.#table.focus();
  }

  toTop() {
    this.chosen = null;
    this.#scroller.scrollTop = 0;
    this.draw();
  }

  /** Draw the rows in sight; those in `changed` flash, and rows slide to where they are now. */
  draw(changed = new Set()) {
    const rows = this.#view.rows;
    const height = this.#height;
    const top = this.#scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const end = Math.min(rows.length, Math.ceil((top + this.#scroller.clientHeight) / height) + SPARE);
    const before = this.#places;
    this.#places = new Map();
    this.#above.firstChild.style.height = `${first * height}px`;
    this.#below.firstChild.style.height = `${(rows.length - end) * height}px`;
    let place = this.#above;
    for (let index = first; index < end; index += 1) {
      const row = rows[index];
      const element = this.#cells.get(row.id) ?? this.#make(row);
      this.#places.set(row.id, index);
      fill(element, row, index, row.id === this.chosen);
      if (place.nextSibling !== element) place.after(element);
      place = element;
    }
    for (const [id, element] of this.#cells) {
      if (this.#places.has(id)) continue;
      element.remove();
      this.#cells.delete(id);
    }
    this.#table.setAttribute("aria-rowcount", rows.length + 1);
    const chosen = this.#cells.get(this.chosen);
    if (chosen) this.#table.setAttribute("aria-activedescendant", chosen.id);
    else this.#table.removeAttribute("aria-activedescendant");
    if (changed.size) this.#animate(before, changed);
  }

  #animate(before, changed) {
    if (this.#still.matches) return;
    const few = changed.size <= MOST_MOVING;
    for (const [id, index] of this.#places) {
      const element = this.#cells.get(id);
      const was = before.get(id) ?? (few ? index - 1 : index);
      if (few && was !== index && Math.abs(was - index) < 60) {
        const from = `translateY(${(was - index) * this.#height}px)`;
        element.animate([{ transform: from }, { transform: "none" }], { duration: 320, easing: "ease-out" });
      }
    }
    for (const row of changed) {
      const element = this.#cells.get(row.id);
      if (!element) continue;
      const color = `var(--flash-${row.delta < 0n ? "down" : "up"})`;
      element.animate([{ backgroundColor: color }, { backgroundColor: "transparent" }], {
        duration: 1800,
        easing: "ease-out",
      });
    }
  }

  #make(row) {
    const element = document.createElement("tr");
    element.id = `row-${row.id}`;
    element.dataset.id = row.id;
    for (const name of COLUMNS) {
      const cell = element.insertCell();
      cell.className = name;
      if (name === "product") {
        cell.append(span("name", row.name), span("sku", row.sku, span("at", ` · ${row.warehouse}`)));
        cell.title = `${row.name} (${row.sku})`;
      } else if (name === "warehouse") {
        cell.textContent = row.warehouse;
        cell.title = row.warehouseName;
      } else if (name === "available") cell.append(span("amount"), span("unit"));
      else if (name === "state") cell.append(span("chip"));
      else if (name === "changed") cell.append(span("delta"), span("ago"));
    }
    this.#cells.set(row.id, element);
    return element;
  }

  #measure() {
    const probe = getComputedStyle(this.#scroller).getPropertyValue("--row-height");
    this.#height = parseFloat(probe) * parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.draw();
  }

  // Keys

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = this.#view.rows;
    const at = rows.findIndex((row) => row.id === this.chosen);
    const page = Math.max(1, Math.floor(this.#scroller.clientHeight / this.#height) - 2);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: Math.max(0, at - 1),
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    }[event.key];
    if (to !== undefined && rows.length) {
      event.preventDefault();
      this.#choose(rows[Math.min(Math.max(to, 0), rows.length - 1)].id, false);
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      event.preventDefault();
      this.onOpen(rows[at]);
    }
  }

  #choose(id, open) {
    this.chosen = id;
    const index = this.#view.rows.findIndex((row) => row.id === id);
    const top = index * this.#height;
    const seen = this.#scroller.clientHeight - this.#table.tHead.offsetHeight;
    if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#height > this.#scroller.scrollTop + seen) {
      this.#scroller.scrollTop = top + this.#height - seen;
    }
    this.draw();
    if (open) this.onOpen(this.#view.rows[index]);
  }
}

const COLUMNS = [
  "product",
  "warehouse",
  "available",
  "on-hand detail",
  "reserved detail",
  "incoming",
  "state",
  "changed",
];

function fill(element, row, index, chosen) {
  const [, , available, onHand, reserved, incoming, state, changed] = element.cells;
  element.setAttribute("aria-rowindex", index + 2);
  element.setAttribute("aria-selected", chosen);
  element.dataset.state = row.state;
  write(available.firstChild, shown(row.available));
  write(available.lastChild, row.unit);
  write(onHand, row.onHand === null ? "" : shown(row.onHand));
  write(reserved, row.reserved === null ? "" : row.reserved === 0n ? "–" : shown(row.reserved));
  write(incoming, row.incoming === 0n ? "–" : shown(row.incoming));
  write(state.firstChild, STATE_NAMES[row.state]);
  const age = Date.now() - row.toldAt;
  const told = row.turn > 0 && row.delta !== 0n;
  write(changed.firstChild, told ? signed(row.delta) : "");
  changed.firstChild.className = `delta ${row.delta < 0n ? "down" : "up"}`;
  write(changed.lastChild, ago(row.updatedAt));
  element.dataset.recent = told && age < RECENT ? (row.delta < 0n ? "down" : "up") : "";
}

// Texts that stay are left alone: most do, and the browser then has nothing to do.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function span(name, ...children) {
  const element = document.createElement("span");
  element.className = name;
  element.append(...children);
  return element;
}

function spacer() {
  const row = document.createElement("tr");
  row.setAttribute("aria-hidden", "true");
  row.className = "spacer";
  row.insertCell();
  return row;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECOND = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** The time of day, to the second. */
export function clock(milliseconds) {
  return SECOND.format(milliseconds);
}

/** How long ago, as far as it is worth telling. */
export function ago(milliseconds) {
  const seconds = Math.max(0, Math.floor((Date.now() - milliseconds) / 1000));
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 12 * 3600) return MINUTE.format(milliseconds);
  return DAY.format(milliseconds);
}
