import { strictEqual } from "node:assert/strict";
import { since, sleep, systemClock } from "./clock.ts";
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
