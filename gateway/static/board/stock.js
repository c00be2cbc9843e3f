// The stock itself: one row for each product in each warehouse, how many are in which state, and a
// view of it: filtered, sorted, kept sorted as rows change.

import { scaled } from "./decimal.js";

export const STATES = ["ok", "low", "out"];

export class Stock {
  rows = new Map();
  warehouses = new Map();
  /** Count of rows by state, of all and of each warehouse: {"": {ok, low, out}, BER: …} */
  counts = new Map([["", none()]]);
  /** Below what stock is low: an amount, or null for each row's own reorder point. */
  threshold = null;

  /** Ids of the products there are, and in how many warehouses each is in stock. */
  #products = new Map();

  /**
   * Take all levels of a warehouse, by its id, or of all; others are gone. Returns the rows that are
   * not as they were.
   */
  replace(levels, warehouse) {
    const kept = new Set(levels.map(({ id }) => id));
    for (const [id, row] of this.rows) {
      if (kept.has(id) || (warehouse && row.warehouseId !== warehouse)) continue;
      this.#count(row, -1);
      this.rows.delete(id);
    }
    return levels.map((level) => this.put(level)).filter((row) => row !== null);
  }

  /**
   * Take a level, unless a newer one was taken. Returns its row, or null where it is old news.
   *
   * A row stays the same object from change to change; its `delta` is what was added since it was
   * taken before.
   */
  put(level) {
    const version = BigInt(level.version);
    let row = this.rows.get(level.id);
    if (row && row.version >= version) return null;
    if (row) this.#count(row, -1);
    else this.rows.set(level.id, (row = fresh(level)));
    row.version = version;
    const available = scaled(level.available);
    row.delta = row.available === null ? 0n : available - row.available;
    row.available = available;
    row.incoming = scaled(level.incoming);
    row.onHand = level.onHand == null ? null : scaled(level.onHand);
    row.reserved = level.reserved == null ? null : scaled(level.reserved);
    row.below = level.belowReorderPoint ?? false;
    row.updatedAt = Date.parse(level.updatedAt);
    row.state = this.#stateOf(row);
    this.#count(row, 1);
    return row;
  }

  /** Forget everything. */
  clear() {
    this.rows.clear();
    this.#recount();
  }

  /** Take another threshold. */
  setThreshold(threshold) {
    this.threshold = threshold;
    this.#recount();
  }

  /** Codes of the warehouses there are, in their order. */
  get codes() {
    return [...this.warehouses.keys()].sort();
  }

  /** Products there are, and those of them that are out of stock in every warehouse. */
  get products() {
    return this.#products.size;
  }
  get productsOut() {
    let out = 0;
    for (const stocked of this.#products.values()) out += stocked === 0;
    return out;
  }

  #recount() {
    this.counts = new Map([["", none()]]);
    this.warehouses = new Map();
    this.#products = new Map();
    for (const row of this.rows.values()) {
      row.state = this.#stateOf(row);
      this.#count(row, 1);
    }
  }

  #stateOf(row) {
    if (row.available <= 0n) return "out";
    const low = this.threshold === null ? row.below : row.available < this.threshold;
    return low ? "low" : "ok";
  }

  #count(row, by) {
    if (!this.counts.has(row.warehouse)) {
      this.counts.set(row.warehouse, none());
      this.warehouses.set(row.warehouse, row.warehouseName);
    }
    this.counts.get("")[row.state] += by;
    this.counts.get(row.warehouse)[row.state] += by;
    const stocked = this.#products.get(row.productId) ?? 0;
    this.#products.set(row.productId, stocked + (row.state === "out" ? 0 : by));
  }
}

function none() {
  return { ok: 0, low: 0, out: 0 };
}

function fresh({ id, product, warehouse }) {
  return {
    id,
    productId: product.id,
    sku: product.sku,
    name: product.name,
    unit: product.uom.code,
    warehouse: warehouse.code,
    warehouseId: warehouse.id,
    warehouseName: warehouse.name,
    text: `${product.sku} ${product.name} ${warehouse.code}`.toLowerCase(),
    available: null,
    delta: 0n,
    /** Number of its last change on this page, and when that came; 0 where there was none. */
    turn: 0,
    toldAt: 0,
  };
}

const BY_NAME = (a, b) => order(a.sku, b.sku) || order(a.warehouse, b.warehouse);

const ORDERS = {
  changed: (a, b) => a.turn - b.turn || a.updatedAt - b.updatedAt || BY_NAME(b, a),
  sku: BY_NAME,
  warehouse: (a, b) => order(a.warehouse, b.warehouse) || BY_NAME(a, b),
  available: (a, b) => order(a.available, b.available) || BY_NAME(a, b),
  onHand: (a, b) => order(a.onHand ?? 0n, b.onHand ?? 0n) || BY_NAME(a, b),
  reserved: (a, b) => order(a.reserved ?? 0n, b.reserved ?? 0n) || BY_NAME(a, b),
  incoming: (a, b) => order(a.incoming, b.incoming) || BY_NAME(a, b),
  state: (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || BY_NAME(a, b),
};

function order(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

export class View {
  rows = [];
  warehouse = "";
  /** One of the states, "in" for all that is in stock, "" for all. */
  state = "";
  words = [];
  sort = "changed";
  descending = true;

  #stock;

  constructor(stock) {
    this.#stock = stock;
  }

  search(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
  }

  /** Filter and sort everything. */
  refresh() {
    this.rows = [];
    for (const row of this.#stock.rows.values()) if (this.#has(row)) this.rows.push(row);
    this.rows.sort(this.#compare);
  }

  /** Put a few changed rows where they belong now; the others are in order already. */
  merge(changed) {
    const moved = [...changed].filter((row) => this.#has(row)).sort(this.#compare);
    const merged = [];
    let next = 0;
    for (const row of this.rows) {
      if (changed.has(row)) continue;
      while (next < moved.length && this.#compare(moved[next], row) < 0) merged.push(moved[next++]);
      merged.push(row);
    }
    while (next < moved.length) merged.push(moved[next++]);
    this.rows = merged;
  }

  /** What is available in the rows shown, exactly, by unit: the most rows first. */
  totals() {
    const totals = new Map();
    for (const { unit, available } of this.rows) {
      const total = totals.get(unit) ?? { unit, rows: 0, available: 0n };
      total.rows += 1;
      total.available += available;
      totals.set(unit, total);
    }
    return [...totals.values()].sort((a, b) => b.rows - a.rows);
  }

  #compare = (a, b) => (this.descending ? ORDERS[this.sort](b, a) : ORDERS[this.sort](a, b));

  #isIn(state) {
    if (this.state === "in") return state !== "out";
    return !this.state || state === this.state;
  }

  #has(row) {
    return (
      (!this.warehouse || row.warehouse === this.warehouse) &&
      this.#isIn(row.state) &&
      this.words.every((word) => row.text.includes(word))
    );
  }
}
