import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Outcome, runNode } from "./attempt.ts";
import type { NodeFunction } from "./mod.ts";
import { TestEnvironment } from "./testing/environment.ts";

const never = (): Promise<never> => new Promise(() => {});

/** Runs a node on virtual time. */
function run(
  node: NodeFunction,
  { retries = 0, timeoutMs = 30_000, input = "{}", environment = new TestEnvironment() } = {},
): Promise<Outcome> {
  const outcome = runNode(node, input, { retries, timeoutMs }, environment.node("a"));
  return environment.clock.until(outcome);
}

Deno.test("a result travels as JSON text", async () => {
  const { output, error } = await run((_, input) => Promise.resolve({ got: input }), {
    input: "[1]",
  });
  deepStrictEqual({ output, error }, { output: '{"got":[1]}', error: undefined });
});

const failures: [string, NodeFunction, string][] = [
  ["rejects", () => Promise.reject(new Error("no such repository")), "no such repository"],
  [
    "throws before it returns a promise",
    () => {
      throw new Error("at once");
    },
    "at once",
  ],
  ["throws a string", () => Promise.reject("boom"), 'threw "boom", which is not an Error'],
  ["throws nothing", () => Promise.reject(), "threw undefined, which is not an Error"],
  [
    "returns nothing",
    () => Promise.resolve(),
    "returned undefined, which JSON can't hold; return null to pass nothing on",
  ],
  [
    "returns a Response",
    () => Promise.resolve(new Response("hello")),
    "returned what JSON can't hold: the result is of type Response",
  ],
  ["never returns", never, "timed out after 30000ms"],
  ["throws a secret", () => Promise.reject(new Error("bad s3cret!")), "bad [redacted]!"],
];

for (const [name, node, error] of failures) {
  Deno.test(`a node that ${name} leaves a clear error`, async () => {
    strictEqual((await run(node)).error, error);
  });
}

Deno.test("a function that is not async is a node too", async () => {
  strictEqual((await run((() => 1) as unknown as NodeFunction)).output, "1");
});

Deno.test("a node is told when its time is up, and the limit wins over what it then does", async () => {
  let reason: unknown;
  const { error } = await run((ctx) =>
    new Promise((resolve) => {
      ctx.signal.addEventListener("abort", () => {
        reason = ctx.signal.reason;
        resolve("too late");
      });
    }), { timeoutMs: 50 });
  strictEqual(error, "timed out after 50ms");
  deepStrictEqual([(reason as Error).name, (reason as Error).message], [
    "TimeoutError",
    "timed out after 50ms",
  ]);
});

Deno.test("a rejection after the time limit goes nowhere", async () => {
  // An unhandled rejection would fail this test.
  const { error } = await run(
    (ctx) =>
      new Promise((_, reject) =>
        ctx.signal.addEventListener("abort", () => reject(new Error("late")))
      ),
    {
      timeoutMs: 50,
    },
  );
  strictEqual(error, "timed out after 50ms");
});

Deno.test("a node that is done in time leaves no timer and is told nothing", async () => {
  const environment = new TestEnvironment();
  const signals: AbortSignal[] = [];
  await run((ctx) => {
    signals.push(ctx.signal);
    return Promise.resolve(null);
  }, { environment });
  deepStrictEqual([environment.clock.pending, signals[0].aborted], [0, false]);
});

Deno.test("retries wait 100, 200, 400 ms, and the last error counts", async () => {
  const environment = new TestEnvironment();
  const starts: number[] = [];
  const outcome = await run(() => {
    starts.push(environment.clock.time);
    return Promise.reject(new Error(`attempt ${starts.length}`));
  }, { retries: 3, environment });
  deepStrictEqual(starts, [0, 100, 300, 700]);
  strictEqual(outcome.error, "attempt 4");
  deepStrictEqual(outcome.timing, {
    startedAt: "1970-01-01T00:00:00.000Z",
    completedAt: "1970-01-01T00:00:00.700Z",
    durationMs: 700,
    attemptsMs: [0, 0, 0, 0],
  });
});

Deno.test("each attempt has the whole time limit, and its duration is told", async () => {
  let attempt = 0;
  const outcome = await run(() => ++attempt < 3 ? never() : Promise.resolve("third"), {
    retries: 5,
    timeoutMs: 1_000,
  });
  strictEqual(outcome.output, '"third"');
  deepStrictEqual(outcome.timing.attemptsMs, [1_000, 1_000, 0]);
  strictEqual(outcome.timing.durationMs, 2_300);
});

Deno.test("each attempt has its own copy of the input, and its own signal", async () => {
  const seen: unknown[] = [];
  await run((ctx, input) => {
    seen.push(structuredClone(input), ctx.signal.aborted);
    (input as { list: number[] }).list.push(4);
    return never();
  }, { input: '{"list":[3]}', retries: 1 });
  deepStrictEqual(seen, [{ list: [3] }, false, { list: [3] }, false]);
});

Deno.test("every failed attempt is logged, the last as an error, with the stack but no secret", async () => {
  const environment = new TestEnvironment();
  await run(() => Promise.reject(new Error("s3cret")), { retries: 1, environment });
  const lines = environment.lines.map(({ level, message }) => ({ level, message }));
  deepStrictEqual(lines, [
    { level: "warn", message: "failed, next attempt in 100ms: [redacted]" },
    { level: "error", message: "failed: [redacted]" },
  ]);
  const text = JSON.stringify(environment.lines);
  deepStrictEqual([text.includes("attempt_test.ts"), text.includes("s3cret")], [true, false]);
});

/** Aborts after `ms`, with the reason that a run's time limit gives. */
function endAfter(environment: TestEnvironment, ms: number): AbortSignal {
  const run = new AbortController();
  environment.clock.after(ms, () => run.abort(new Error("the run is over")));
  return run.signal;
}

Deno.test("the end of the run ends an attempt, tells the node, and is not tried again", async () => {
  const environment = new TestEnvironment();
  const told: unknown[] = [];
  const outcome = await environment.clock.until(runNode(
    (ctx) => {
      ctx.signal.addEventListener("abort", () => told.push(ctx.signal.reason.message));
      return never();
    },
    "{}",
    { timeoutMs: 1000, retries: 3 },
    environment.node("a"),
    endAfter(environment, 50),
  ));
  strictEqual(outcome.error, "the run is over");
  deepStrictEqual([told, outcome.timing.attemptsMs], [["the run is over"], [50]]);
  strictEqual(outcome.timing.durationMs, 50);
  strictEqual(environment.clock.pending, 0);
});

Deno.test("the end of the run ends the pause before the next attempt, which is not made", async () => {
  const environment = new TestEnvironment();
  const outcome = await environment.clock.until(runNode(
    () => Promise.reject(new Error("broken")),
    "{}",
    { timeoutMs: 1000, retries: 3 },
    environment.node("a"),
    endAfter(environment, 150),
  ));
  strictEqual(outcome.error, "the run is over");
  deepStrictEqual([outcome.timing.attemptsMs, outcome.timing.durationMs], [[0, 0], 150]);
  strictEqual(environment.clock.pending, 0);
});
