import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { parseDuration, since, sleep, systemClock } from "./clock.ts";
import { VirtualClock } from "./testing/virtual_clock.ts";

Deno.test("the system's clock calls back, and does not once it was cancelled", async () => {
  let called = false;
  const cancel = systemClock.after(0, () => called = true);
  cancel();
  await sleep(systemClock, 0);
  strictEqual(called, false);
});

Deno.test("a time longer than a timer can count does not pass at once", () => {
  let called = false;
  const cancel = systemClock.after(2 ** 40, () => called = true);
  return sleep(systemClock, 1).then(() => {
    strictEqual(called, false);
    cancel();
  });
});

Deno.test("what has passed is told in milliseconds, to the microsecond", () => {
  const clock = new VirtualClock();
  clock.time = 12.3456789;
  strictEqual(since(clock, 2), 10.346);
});

Deno.test("a sleep ends early when its signal is aborted, and leaves no timer", async () => {
  const clock = new VirtualClock();
  const early = new AbortController();
  const slept = sleep(clock, 500, early.signal);
  strictEqual(clock.pending, 1);
  early.abort();
  await slept;
  deepStrictEqual([clock.pending, clock.time], [0, 0]);
});

const durations: [string, number | undefined][] = [
  ["500ms", 500],
  ["30s", 30_000],
  ["2m", 120_000],
  ["2147483647ms", 2 ** 31 - 1],
  ["2147483648ms", undefined],
  ["0s", undefined],
  ["1.5s", undefined],
  ["30", undefined],
  ["-1s", undefined],
  ["1h", undefined],
  [" 1s", undefined],
  ["", undefined],
];

for (const [text, ms] of durations) {
  Deno.test(`the duration "${text}" is ${ms ?? "refused"}`, () => {
    strictEqual(parseDuration(text), ms);
  });
}
