/** Time that passes only when everything waits for it. */

import { setImmediate } from "node:timers";
import type { Clock } from "../clock.ts";

interface Timer {
  readonly at: number;
  readonly wake: () => void;
}

export class VirtualClock implements Clock {
  /** Milliseconds since the epoch and since the clock's start alike. */
  time = 0;
  #timers: Timer[] = [];

  now(): Date {
    return new Date(this.time);
  }

  elapsed(): number {
    return this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = { at: this.time + ms, wake: resolve };
    this.#timers.push(timer);
    signal?.addEventListener("abort", () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
      reject(signal.reason);
    });
    return promise;
  }

  /** Lets time pass, from timer to timer, until `promise` settles. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => void (settled = true);
    promise.then(settle, settle);
    for (await everythingWaits(); !settled; await everythingWaits()) this.#wakeNext();
    return await promise;
  }

  #wakeNext(): void {
    const [next] = this.#timers.toSorted((a, b) => a.at - b.at);
    if (next === undefined) throw new Error("nothing is left to wait for");
    this.#timers = this.#timers.filter((other) => other !== next);
    this.time = next.at;
    next.wake();
  }
}

/** An immediate callback comes after every microtask. */
function everythingWaits(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
