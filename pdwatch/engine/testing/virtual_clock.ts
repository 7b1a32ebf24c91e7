/** Time that passes only when everything waits for it. */

import { setImmediate } from "node:timers";
import type { Clock } from "../clock.ts";

interface Timer {
  readonly at: number;
  readonly call: () => void;
}

export class VirtualClock implements Clock {
  /** Milliseconds since the epoch and since the clock's start alike. */
  time = 0;
  readonly #timers = new Set<Timer>();

  /** How many timers have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): Date {
    return new Date(this.time);
  }

  elapsed(): number {
    return this.time;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.time + ms, call };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Lets time pass, from timer to timer, until `promise` settles. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => void (settled = true);
    promise.then(settle, settle);
    for (await everythingWaits(); !settled; await everythingWaits()) this.#fireNext();
    return await promise;
  }

  #fireNext(): void {
    const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
    if (next === undefined) throw new Error("nothing is left to wait for");
    this.#timers.delete(next);
    this.time = next.at;
    next.call();
  }
}

/** An immediate callback comes after every microtask. */
function everythingWaits(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
