// The board: what comes over the connection is put together here and drawn once per frame.

import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { scaled, shown, signed, typed } from "./decimal.js";
import { History } from "./history.js";
import { accounts, session } from "./session.js";
import { STATES, Stock, View } from "./stock.js";
import { ago, clock, Table } from "./table.js";

const MOST_TOLD = 60;
const MOST_LOGGED = 5000;
const LONGEST_PAUSE = 250;
const NOTICE_TIME = 180_000;

const $ = (id) => document.getElementById(id);

const stock = new Stock();
const view = new View(stock);
const table = new Table(view);
const chart = new Chart();
const history = new History();
const connection = new Connection({
  status: showStatus,
  identity: showIdentity,
  state: takeState,
  change: takeChange,
  returned: showReturn,
});

let status = { phase: "off", text: "" };
let caller = null;
let opened = null;
let turn = 0;
let lostAt = null;
let noticed = 0;
/** How it goes on after the line was down, if that is not drawn yet. */
let returning = null;
/** The last time without a connection, as the list of changes tells it. */
let pause = { seconds: 0, item: null };

/** The latest changes, newest last; what charts of single rows are drawn from. */
const log = [];
/** Seconds in which changes came, of the last minute, and how many. */
const rate = new Map();
const untold = [];
const changed = new Set();
let everything = false;
let held = new Set();
let drawing = false;
let drawnAt = 0;
let cost = 0;

// ---- What comes

function takeState(levels, warehouse) {
  // Of a state that takes the place of one, what was missed is not known; what differs is.
  stock.replace(levels, warehouse).filter(({ delta }) => delta !== 0n).forEach(mark);
  everything = true;
  history.note(Date.now() / 1000, stock.counts);
  draw();
}

function takeChange(change, missed) {
  const row = stock.put(change.level);
  const before = scaled(change.previousAvailable);
  const after = scaled(change.available);
  const at = Date.parse(change.at);
  log.push({ id: change.level.id, at, before, after });
  if (log.length > MOST_LOGGED) log.splice(0, MOST_LOGGED / 10);
  untold.push({ ...change, at, missed, delta: after - before });
  if (untold.length > MOST_TOLD) untold.shift();
  if (!missed) {
    const second = Math.floor(Date.now() / 1000);
    rate.set(second, (rate.get(second) ?? 0) + 1);
  }
  if (row) {
    mark(row);
    history.note(at / 1000, stock.counts);
  }
  draw();
}

function mark(row) {
  row.turn = turn += 1;
  row.toldAt = Date.now();
  changed.add(row);
}

// ---- Drawing: once per frame, and less often where a frame is dear: a tenth of the time at most.

function draw() {
  if (drawing) return;
  drawing = true;
  const rest = Math.min(9 * cost, LONGEST_PAUSE) - (performance.now() - drawnAt);
  if (rest > 0) setTimeout(() => requestAnimationFrame(drawNow), rest);
  else requestAnimationFrame(drawNow);
}

function drawNow() {
  drawing = false;
  const began = performance.now();
  const flashing = new Set(changed);
  if (everything) {
    held.clear();
    view.refresh();
  } else if (table.held) {
    for (const row of changed) held.add(row);
  } else if (changed.size || held.size) {
    view.merge(new Set([...changed, ...held]));
    held.clear();
  }
  table.draw(flashing);
  if (everything || changed.size) drawTotals();
  everything = false;
  changed.clear();
  drawFeed();
  drawHeld();
  if (returning) drawReturn(returning);
  returning = null;
  drawnAt = performance.now();
  cost = drawnAt - began;
}

function drawTotals() {
  const count = stock.counts.get(view.warehouse) ?? { ok: 0, low: 0, out: 0 };
  const all = count.ok + count.low + count.out;
  number("in-stock", count.ok + count.low);
  number("out-of-stock", count.out);
  number("low", count.low);
  if (view.warehouse) {
    text("in-stock-of", `of ${grouped(all)} products in ${view.warehouse}`);
    text("out-of-stock-of", share(count.out, all));
  } else {
    text("in-stock-of", `of ${grouped(all)} levels · ${grouped(stock.products)} products`);
    text("out-of-stock-of", `${share(count.out, all)} · ${grouped(stock.productsOut)} products in no warehouse`);
  }
  text("low-of", share(count.low, all));
  drawWarehouses();
  const totals = view.totals().map(({ unit, available }) => `${shown(available)} ${unit}`);
  const rows = `${grouped(view.rows.length)} of ${grouped(stock.rows.size)} levels`;
  text("summary", totals.length ? `${rows}  ·  available ${totals.join(" · ")}` : rows);
  $("empty").hidden = view.rows.length > 0;
  const none = status.phase === "live" ? "There is no stock yet." : "Reading stock …";
  text("empty", stock.rows.size ? "No stock is like that." : none);
  drawChart();
}

function drawWarehouses() {
  const box = $("warehouses");
  const wanted = ["", ...stock.codes];
  if (box.childElementCount !== wanted.length) {
    box.replaceChildren(...wanted.map((code, index) => warehouseButton(code, index)));
  }
  wanted.forEach((code, index) => {
    const button = box.children[index];
    const count = stock.counts.get(code) ?? { ok: 0, low: 0, out: 0 };
    button.setAttribute("aria-pressed", code === view.warehouse);
    const told = `${count.ok + count.low} in stock, ${count.low} of them low, ${count.out} out`;
    button.title = `${code ? stock.warehouses.get(code) : "All warehouses"}: ${told} (${index})`;
    STATES.forEach((state, place) => {
      button.lastChild.children[place].style.flexGrow = count[state];
    });
  });
}

function warehouseButton(code, index) {
  const button = element("button", "", element("span", "", code || "All"), element("span", "share"));
  button.type = "button";
  button.lastChild.append(...STATES.map((state) => element("i", state)));
  button.lastChild.setAttribute("aria-hidden", "true");
  button.addEventListener("click", () => chooseWarehouse(index));
  return button;
}

function drawChart() {
  const row = opened && stock.rows.get(opened);
  $("chart-back").hidden = !row;
  if (row) {
    text("chart-title", `${row.sku} in ${row.warehouse}`);
    const points = log.filter(({ id }) => id === row.id);
    const data = points.map(({ at, after }) => [at / 1000, after]);
    if (points.length) data.unshift([points[0].at / 1000 - 60, points[0].before]);
    else data.push([Date.now() / 1000 - 60, row.available]);
    data.push([Math.max(Date.now() / 1000, data.at(-1)[0]), row.available]);
    chart.row(data);
    const times = points.length === 1 ? "once" : `${points.length} times`;
    const seen = points.length ? `changed ${times} since this page is open` : "no change since this page is open";
    text("chart-text", `${row.name}: ${shown(row.available)} ${row.unit} available, ${seen}.`);
    return;
  }
  text("chart-title", `Availability${view.warehouse ? ` in ${view.warehouse}` : ""}`);
  chart.shares(history.of(view.warehouse), history.gaps);
  text("chart-text", "Levels in stock, in per cent, and how many of them are low, since this page is open.");
}

function drawFeed() {
  if (!untold.length) return;
  const feed = $("feed");
  feed.prepend(...untold.splice(0).reverse().map(told));
  while (feed.childElementCount > MOST_TOLD) feed.lastChild.remove();
}

function told({ at, level, delta, available, cause, crossing, missed }) {
  const item = element(
    "li",
    missed ? "missed" : "",
    element("time", "", clock(at)),
    element("span", "what", element("b", "", level.product.sku), ` ${level.warehouse.code}`),
    element("span", `delta ${delta < 0n ? "down" : "up"}`, delta === 0n ? "±0" : signed(delta)),
    element("span", "now", `→ ${shown(scaled(available))} ${level.product.uom.code}`),
    element("span", "name", level.product.name),
  );
  const crossed = CROSSINGS[crossing];
  if (crossed) item.append(element("span", `chip ${crossed[1]}`, crossed[0]));
  const why = cause.toLowerCase().replaceAll("_", " ");
  item.append(element("span", "cause", missed ? `${why} · while away` : why));
  return item;
}

const CROSSINGS = { OUT_OF_STOCK: ["out of stock", "out"], BACK_IN_STOCK: ["back in stock", "ok"] };

function drawHeld() {
  const button = $("to-top");
  button.hidden = !held.size;
  if (held.size) button.textContent = `↑ ${held.size} changed`;
}

function drawRate() {
  const now = Math.floor(Date.now() / 1000);
  let sum = 0;
  for (const [second, count] of rate) {
    if (second <= now - 60) rate.delete(second);
    else sum += count;
  }
  const alive = status.phase === "live";
  text("rate", alive ? grouped(sum) : "–");
  const last = log.at(-1);
  text("rate-of", last ? `the last ${ago(last.at)}` : "none since this page is open");
  const most = Math.max(4, ...rate.values());
  const bars = [...rate].map(([second, count]) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = (20 * count) / most;
    const place = { x: 59 - (now - second), width: 0.8, y: 20 - height, height };
    for (const [name, value] of Object.entries(place)) bar.setAttribute(name, value);
    return bar;
  });
  $("pulse").replaceChildren(...bars);
}

// Every second: what tells how long ago something was.
setInterval(() => {
  if (document.visibilityState === "hidden") return;
  drawRate();
  countDown();
  forgetNotice();
  if (status.phase === "live") history.note(Date.now() / 1000, stock.counts);
  table.draw();
  if (stock.rows.size) drawChart();
}, 1000);

// ---- How the line is

function showStatus(next) {
  status = next;
  document.body.dataset.phase = next.phase;
  if (next.phase === "waiting" && lostAt === null && stock.rows.size) {
    lostAt = Date.now();
    const since = `The state shown is that of ${clock(lostAt)}.`;
    $("notice").removeAttribute("aria-busy");
    notice("lost", `${next.text}. ${since} It goes on from there as soon as there is a connection.`);
  }
  text("connection-text", next.phase === "refused" ? "Not signed in" : next.text);
  document.title = `${next.phase === "live" ? "" : "⚠ "}Stock · ERP gateway`;
  $("retry").hidden = next.phase !== "waiting";
  countDown();
  drawRate();
  showSignIn();
}

function countDown() {
  const waits = status.phase === "waiting";
  const seconds = waits ? Math.max(0, Math.ceil((status.retryAt - Date.now()) / 1000)) : 0;
  text("countdown", waits ? `· again in ${seconds} s` : "");
}

function showReturn(next) {
  if (lostAt !== null) history.down(lostAt / 1000, lostAt / 1000 + next.seconds);
  lostAt = null;
  returning = next;
  draw();
}

function drawReturn({ seconds, missed, done, reloaded }) {
  const changes = missed === 1 ? "1 change" : `${grouped(missed)} changes`;
  const [kind, told] = reloaded
    ? ["reloaded", "the log no longer had the changes in between: state reloaded"]
    : ["returned", missed ? `caught up ${changes}` : "nothing was missed"];
  const going = missed ? `catching up, ${changes} so far …` : "looking for what was missed …";
  // Only the end of it is read out.
  $("notice").setAttribute("aria-busy", !done);
  notice(kind, `Back after ${lasting(seconds)}: ${done || reloaded ? `${told}.` : going}`);
  if (!done) return;
  if (pause.seconds !== seconds) {
    pause = { seconds, item: element("li", "break") };
    $("feed").prepend(pause.item);
  }
  pause.item.textContent = `${lasting(seconds)} without connection: ${told}`;
}

function lasting(seconds) {
  return seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
}

function notice(kind, words) {
  $("notice").className = `notice shown ${kind}`;
  text("notice", words);
  noticed = Date.now();
}

// What is over does not stay on a wall for ever; the list of changes keeps it.
function forgetNotice() {
  if (lostAt === null && Date.now() - noticed > NOTICE_TIME) $("notice").className = "notice";
}

// ---- Who looks

function showIdentity(next) {
  caller = next;
  document.body.classList.toggle("detailed", next.permissions.includes("stock.read"));
  text("company", `${next.company.name}${session.account ? "" : ` · ${next.name}`}`);
  $("company-choice").hidden = next.companyCodes.length < 2;
  options($("companies"), next.companyCodes, next.company.code);
}

function showSignIn() {
  const refusal = status.phase === "refused" ? status.refusal : null;
  const asks = !session.token || refusal !== null;
  $("sign-in").hidden = !asks;
  $("board").hidden = asks;
  $("leave").hidden = !session.token;
  $("refusal").hidden = refusal === null;
  if (refusal) text("refusal", refusal.message);
  if (asks) {
    text("company", "ERP gateway");
    $("company-choice").hidden = true;
    $("notice").className = "notice";
  }
  options($("accounts"), [...(session.account ? [] : [""]), ...accounts.map(({ name }) => name)], session.account ?? "");
}

function options(select, values, chosen) {
  const same = [...select.options].map(({ value }) => value).join() === values.join();
  if (!same) select.replaceChildren(...values.map((value) => new Option(value || "own token", value)));
  select.value = chosen;
}

function enter(act) {
  act();
  forget();
  if (session.token) connection.start();
  else connection.stop();
}

function forget() {
  stock.clear();
  history.clear();
  log.length = 0;
  untold.length = 0;
  rate.clear();
  changed.clear();
  opened = lostAt = returning = null;
  Object.assign(view, { warehouse: "", state: "" });
  $("feed").replaceChildren();
  $("warehouses").replaceChildren();
  $("notice").className = "notice";
  everything = true;
  showState();
  draw();
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  $("token").value = "";
  if (token) enter(() => session.enter(token));
});
$("accounts").addEventListener("change", ({ target }) => {
  if (target.value) enter(() => session.choose(target.value));
});
$("companies").addEventListener("change", ({ target }) => enter(() => session.act(target.value)));
$("leave").addEventListener("click", () => {
  enter(() => session.leave());
  $("token").focus();
});
$("retry").addEventListener("click", () => connection.retry());
$("account-choice").hidden = !accounts.length;
$("demo").hidden = !accounts.length;
for (const { name } of accounts) {
  const button = element("button", "", name);
  button.type = "button";
  button.addEventListener("click", () => enter(() => session.choose(name)));
  $("demo-accounts").append(button);
}

// ---- What is shown of it

function show(change) {
  Object.assign(view, change);
  everything = true;
  table.toTop();
  showState();
  draw();
}

function showState() {
  for (const tile of document.querySelectorAll(".tile[data-state]")) {
    tile.setAttribute("aria-pressed", tile.dataset.state === view.state);
  }
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const sorted = head.dataset.sort === view.sort;
    head.ariaSort = sorted ? (view.descending ? "descending" : "ascending") : "none";
  }
}

function chooseWarehouse(index) {
  const code = ["", ...stock.codes][index];
  if (code !== undefined) show({ warehouse: code });
}

function open(row) {
  opened = row && row.id !== opened ? row.id : null;
  drawChart();
}

for (const tile of document.querySelectorAll(".tile[data-state]")) {
  tile.addEventListener("click", () => {
    const { state } = tile.dataset;
    show({ state: view.state === state ? "" : state });
  });
}
for (const head of document.querySelectorAll("th[data-sort]")) {
  head.firstChild.addEventListener("click", () => {
    const sort = head.dataset.sort;
    const names = sort === "sku" || sort === "warehouse";
    show({ sort, descending: view.sort === sort ? !view.descending : !names });
  });
}
table.onOpen = open;
$("chart-back").addEventListener("click", () => open(null));
$("to-top").addEventListener("click", () => {
  table.toTop();
  draw();
});
$("scroller").addEventListener("scroll", () => held.size && !table.held && draw(), { passive: true });
$("search").addEventListener("input", ({ target }) => {
  view.search(target.value);
  show({});
});

function showThreshold() {
  const amount = $("threshold-kind").value === "amount";
  $("threshold").hidden = !amount;
  const value = amount ? typed($("threshold").value) : null;
  $("threshold").setAttribute("aria-invalid", amount && value === null);
  if (amount && value === null) return;
  text("low-label", amount ? `Less than ${shown(value)}` : "Below reorder point");
  stock.setThreshold(value);
  history.forgetLow();
  localStorage.setItem("low", amount ? $("threshold").value : "");
  show({});
}

$("threshold-kind").addEventListener("change", () => {
  $("threshold").value ||= "10";
  showThreshold();
});
$("threshold").addEventListener("input", showThreshold);
if (localStorage.getItem("low")) {
  $("threshold-kind").value = "amount";
  $("threshold").value = localStorage.getItem("low");
  showThreshold();
}

// ---- Keys

$("theme").addEventListener("click", () => theme.toggle());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("board").hidden) return;
  const field = event.target.closest("input, select, textarea");
  if (event.key === "Escape") return leaveField(field);
  if (field) return;
  const key = KEYS[event.key] ?? (/^\d$/.test(event.key) && (() => chooseWarehouse(Number(event.key))));
  if (!key) return;
  event.preventDefault();
  key();
});

const KEYS = {
  "/": () => $("search").select(),
  ArrowDown: () => enterTable("ArrowDown"),
  ArrowUp: () => enterTable("ArrowUp"),
  i: () => show({ state: "in" }),
  o: () => show({ state: "out" }),
  l: () => show({ state: "low" }),
  a: () => show({ state: "" }),
  t: () => theme.toggle(),
  r: () => connection.retry(),
};

function enterTable(key) {
  if (table.focused) return;
  table.focus();
  $("table").dispatchEvent(new KeyboardEvent("keydown", { key }));
}

// Back, one thing after the other: out of a field, of a row's chart, of a filter.
function leaveField(field) {
  if ($("more").open) $("more").open = false;
  else if (field) {
    if (field.value && field.id === "search") {
      field.value = "";
      field.dispatchEvent(new Event("input"));
    } else table.focus();
  } else if (opened) open(null);
  else if (table.chosen !== null) {
    table.toTop();
    draw();
  } else show({ state: "", warehouse: "" });
}

// ---- Small things

function text(id, words) {
  const target = $(id);
  if (target.textContent !== words) target.textContent = words;
}

function number(id, value) {
  text(id, grouped(value));
}

function grouped(value) {
  return value.toLocaleString("en-US");
}

function share(part, all) {
  return all ? `${((100 * part) / all).toFixed(1)} %` : "";
}

function element(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}

// ---- Begin

text("origin", location.origin);
showState();
session.restore();
if (session.token) connection.start();
else showStatus({ phase: "off", text: "Signed out" });
