// The chart: how much of the stock is available, over time; or of one row, when one is open.

import { drawn } from "./decimal.js";

const NUMBER = new Intl.NumberFormat("en-US", { maximumFractionDigits: 6 });
const PER_CENT = (_, share) => (share == null ? "–" : `${share.toFixed(1)} %`);
const PLAIN = (_, value) => (value == null ? "–" : NUMBER.format(value));
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

export class Chart {
  #box = document.getElementById("chart");
  #plot = null;
  #kind = "";
  #gaps = [];
  #data = null;

  constructor() {
    new ResizeObserver(() => this.#resize()).observe(this.#box);
    addEventListener("theme", () => this.#forget());
  }

  /** Draw shares over time, with the spans in which the line was down. */
  shares(data, gaps) {
    this.#gaps = gaps;
    this.#draw("shares", data);
  }

  /** Draw what was available of one row: [time in seconds, amount] of each change. */
  row(points) {
    this.#gaps = [];
    this.#draw("row", [points.map(([time]) => time), points.map(([, amount]) => drawn(amount))]);
  }

  #draw(kind, data) {
    this.#data = data;
    if (!this.#box.clientWidth) return;
    if (kind !== this.#kind) {
      this.#plot?.destroy();
      this.#plot = new uPlot(this.#options(kind), data, this.#box);
      this.#kind = kind;
    } else this.#plot.setData(data);
    // Where no pointer asks for another, the legend tells the latest values.
    const last = data[0].length - 1;
    if (this.#plot.cursor.idx == null && last >= 0) this.#plot.setLegend({ idx: last }, false);
  }

  #forget() {
    const kind = this.#kind;
    this.#kind = "";
    if (kind) this.#draw(kind, this.#data);
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#box;
    if (this.#plot && width) this.#plot.setSize({ width, height: height - 28 });
  }

  #options(kind) {
    const color = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
    const stepped = uPlot.paths.stepped({ align: 1 });
    const line = (label, name, scale, value) => ({
      label,
      scale,
      value,
      stroke: color(name),
      fill: scale === "y" ? `${color(name)}1f` : undefined,
      width: 2,
      paths: stepped,
      points: { show: false },
    });
    const axis = {
      stroke: color("--quiet"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { stroke: color("--line"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    const shares = kind === "shares";
    return {
      width: this.#box.clientWidth,
      height: this.#box.clientHeight - 28,
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { range: wide }, y: { range: shares ? perCent : amounts }, low: { range: few } },
      axes: [
        { ...axis, values: clockTicks, space: 64 },
        { ...axis, size: 56, values: (_, ticks) => ticks.map(shares ? perCentTick : amountTick) },
        ...(shares ? [{ ...axis, scale: "low", side: 1, size: 36, grid: { show: false }, incrs: WHOLE }] : []),
      ],
      series: [
        { label: "At", value: (_, time) => (time == null ? "–" : TICK_SECOND.format(time * 1000)) },
        ...(shares
          ? [line("In stock", "--ok", "y", PER_CENT), line("Low", "--low", "low", PLAIN)]
          : [line("Available", "--accent", "y", PLAIN)]),
      ],
      hooks: { drawClear: [(plot) => this.#shade(plot, color("--gap"))] },
    };
  }

  #shade({ ctx, bbox, valToPos }, color) {
    ctx.save();
    ctx.fillStyle = color;
    for (const [from, to] of this.#gaps) {
      const left = Math.max(valToPos(from, "x", true), bbox.left);
      const right = Math.min(valToPos(to, "x", true), bbox.left + bbox.width);
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  }
}

const TICK_MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const TICK_SECOND = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

function clockTicks(_, ticks) {
  const format = ticks.length > 1 && ticks[1] - ticks[0] < 60 ? TICK_SECOND : TICK_MINUTE;
  return ticks.map((tick) => format.format(tick * 1000));
}

/** At least two minutes, so that the first points are no wall of color. */
function wide({ data: [times] }) {
  const most = times.at(-1) ?? Date.now() / 1000;
  return [Math.min(times[0] ?? most, most - 120), most];
}

function perCentTick(tick) {
  return `${NUMBER.format(tick)} %`;
}

function amountTick(tick) {
  return NUMBER.format(tick);
}

/** Near to the line, as a few of thousands are worth seeing; never past a hundred. */
function perCent(_, least, most) {
  if (least === null) return [0, 100];
  const room = Math.max((most - least) * 0.3, 1);
  return [Math.max(0, least - 2 * room), Math.min(100, most + room)];
}

/** Low on the chart, so that it stays clear of the other line. */
function few(_, __, most) {
  return [0, Math.max(10, 2.5 * (most ?? 0))];
}

function amounts(_, least, most) {
  if (least === null) return [0, 1];
  const room = Math.max((most - least) * 0.15, 1);
  return [least >= 0 ? Math.max(0, least - room) : least - room, most + room];
}
