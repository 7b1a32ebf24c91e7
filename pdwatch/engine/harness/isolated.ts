/** Runs a case where it can neither meet another case nor keep the harness from going on. */

import { type Clock, since, systemClock } from "../clock.ts";
import { parseWorkflow, type Workflow } from "../workflow.ts";
import type { Outcome, PlannedCase } from "./plan.ts";
import type { Task } from "./worker.ts";

/** For starting, importing and ending, beyond the time limits of the nodes. */
const GRACE_MS = 10_000;

/** Never rejects. A case that is not done when all time limits have passed holds up its thread, and is ended. */
export async function runIsolated(
  task: Task,
  { clock = systemClock, graceMs = GRACE_MS }: { clock?: Clock; graceMs?: number } = {},
): Promise<Outcome> {
  const began = clock.elapsed();
  const limitMs = longestMs(task.planned, parseWorkflow(task.workflow)) + graceMs;
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const fail = (fault: string): void =>
    resolve({
      outputs: {},
      errors: {},
      durationMs: Math.round(since(clock, began)),
      log: [],
      unmocked: [],
      used: [],
      fault,
    });
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<Outcome>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    fail(event.message);
  };
  const cancel = clock.after(
    limitMs,
    () =>
      fail(`still runs after ${limitMs}ms; a loop that never awaits anything can't be timed out`),
  );
  worker.postMessage(task);
  try {
    return await promise;
  } finally {
    cancel();
    worker.terminate();
  }
}

/** As if all nodes ran one after another, and each failed at its limit until no retry is left. */
function longestMs({ nodes }: PlannedCase, { timeoutMs, retries }: Workflow): number {
  const pausesMs = 100 * (2 ** retries - 1);
  return nodes.length * ((retries + 1) * timeoutMs + pausesMs);
}
