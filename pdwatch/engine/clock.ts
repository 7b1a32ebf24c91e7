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

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/** Milliseconds since `began`, a value of `elapsed`, to the microsecond. */
export function since(clock: Clock, began: number): number {
  return Math.round((clock.elapsed() - began) * 1000) / 1000;
}
