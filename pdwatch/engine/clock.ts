/** Time as the engine uses it: an argument, so that tests need not wait. */

export interface Clock {
  /** The time of day. */
  now(): Date;
  /** Milliseconds since some fixed instant; never runs backwards. */
  elapsed(): number;
  /** Calls back once, after `ms` milliseconds, unless cancelled by the function that it returns. */
  after(ms: number, call: () => void): () => void;
}

/** A longer timer would fire at once: JavaScript's timers count in 32 bits. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => new Date(),
  elapsed: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, Math.min(ms, LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/** Ends early when `signal` is aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    signal?.addEventListener("abort", () => {
      cancel();
      resolve();
    }, { once: true });
  });
}

/** What a node's `ctx.signal` is aborted with, and its message the node's error. */
export function timeoutError(what: string, ms: number): DOMException {
  return new DOMException(`${what} after ${ms}ms`, "TimeoutError");
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** Milliseconds of a duration as workflow.yaml writes it, `500ms`, `30s` or `2m`; undefined for what is none. */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,10})(ms|s|m)$/.exec(text) ?? [];
  const ms = Number(digits) * UNITS_MS[unit];
  return ms > 0 && ms <= LONGEST_TIMER_MS ? ms : undefined;
}

/** Milliseconds since `began`, a value of `elapsed`, to the microsecond. */
export function since(clock: Clock, began: number): number {
  return Math.round((clock.elapsed() - began) * 1000) / 1000;
}
