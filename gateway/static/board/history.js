// How many rows were in stock and low, over time. Bounded: when it is full, every other point goes.

import { STATES } from "./stock.js";

const MOST_POINTS = 720;
const FIRST_STEP = 5;
const MOST_GAPS = 20;

export class History {
  times = [];
  step = FIRST_STEP;
  /** When the line was down, as [from, to]; seconds. */
  gaps = [];

  #points = [];

  clear() {
    this.times = [];
    this.#points = [];
    this.gaps = [];
    this.step = FIRST_STEP;
  }

  /** Note what is at a second; a point stands for a step, and the last of it counts. */
  note(seconds, counts) {
    const time = Math.floor(seconds / this.step) * this.step;
    const last = this.times.length - 1;
    const point = new Map([...counts].map(([scope, count]) => [scope, shares(count)]));
    if (last >= 0 && time <= this.times[last]) {
      this.#points[last] = point;
      return;
    }
    this.times.push(time);
    this.#points.push(point);
    if (this.times.length > MOST_POINTS) this.#thin();
  }

  down(from, to) {
    this.gaps.push([from, to]);
    if (this.gaps.length > MOST_GAPS) this.gaps.shift();
  }

  /** Forget what was low, as low means something else now. */
  forgetLow() {
    for (const point of this.#points) for (const share of point.values()) share.low = null;
  }

  /** Times; per cent of the rows of a scope that are in stock; how many of these are low. */
  of(scope) {
    const shares = this.#points.map((point) => point.get(scope));
    return [
      this.times,
      shares.map((share) => share?.stocked ?? null),
      shares.map((share) => share?.low ?? null),
    ];
  }

  #thin() {
    this.step *= 2;
    const odd = (_, index) => index % 2 === 1;
    this.times = this.times.filter(odd);
    this.#points = this.#points.filter(odd);
  }
}

function shares(count) {
  const all = STATES.reduce((sum, state) => sum + count[state], 0);
  return { stocked: all ? (100 * (count.ok + count.low)) / all : null, low: count.low };
}
