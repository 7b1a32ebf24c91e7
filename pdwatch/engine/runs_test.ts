import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { createLogger } from "./logger.ts";
import type { NodeFunction } from "./mod.ts";
import { Redactor } from "./redaction.ts";
import { Runs } from "./runs.ts";
import type { Secrets } from "./secrets.ts";
import { programOf } from "./testing/environment.ts";
import { VirtualClock } from "./testing/virtual_clock.ts";

interface Line {
  level: string;
  workflow: string;
  node?: string;
  runId?: string;
  requestId?: string;
  message: string;
  args?: unknown[];
}

const empty = (): Promise<unknown> => Promise.resolve({});

/** Runs of one node `a`, whose secrets are read from `secrets` as it is at the time. */
function runsOf(
  run: NodeFunction,
  secrets: { now: Secrets } = { now: {} },
  maxInFlight?: number,
): {
  runs: Runs;
  clock: VirtualClock;
  lines: Line[];
} {
  const clock = new VirtualClock();
  const redactor = new Redactor();
  const lines: Line[] = [];
  const output = {
    format: "json",
    write: (line: string) => void lines.push(JSON.parse(line)),
    now: () => clock.now(),
    redact: (text: string) => redactor.redact(text),
  } as const;
  let count = 0;
  const runs = new Runs({
    workflow: {
      name: "hello",
      version: "1.0",
      triggers: [],
      nodes: new Map([["a", { path: "./a.ts", config: { limit: 5 }, hosts: ["a.example"] }]]),
      edges: [],
      timeoutMs: 30_000,
      retries: 0,
    },
    program: programOf({ a: run }),
    clock,
    redactor,
    readSecrets: () => Promise.resolve(secrets.now),
    logger: (scope) => createLogger(output, scope),
    newRunId: () => `run-${++count}`,
    maxInFlight,
  });
  return { runs, clock, lines };
}

Deno.test("a node gets its config, the secrets and a logger that says where it logs", async () => {
  const secrets = { now: { github: { token: "ghp_abc" } } };
  const { runs, lines } = runsOf((ctx, input) => {
    ctx.log.info("hello");
    return Promise.resolve([ctx.config, ctx.secrets, input]);
  }, secrets);
  const { id, result } = await runs.start("manual", () => Promise.resolve({ n: 1 }));
  strictEqual(id, "run-1");
  deepStrictEqual(result.outputs.a, [{ limit: 5 }, secrets.now, { n: 1 }]);
  const { workflow, node, runId, message } = lines[0];
  deepStrictEqual([workflow, node, runId, message], ["hello", "a", "run-1", "hello"]);
});

Deno.test("a rotated secret is seen by the next run, and both old and new are masked", async () => {
  const secrets = { now: { github: { token: "first-token" } } };
  const { runs, lines } = runsOf((ctx) => {
    ctx.log.info("first-token or second-token");
    return Promise.resolve(ctx.secrets.github.token);
  }, secrets);
  strictEqual((await runs.start("manual", empty)).result.outputs.a, "first-token");
  secrets.now = { github: { token: "second-token" } };
  strictEqual((await runs.start("manual", empty)).result.outputs.a, "second-token");
  const messages = lines.filter(({ node }) => node === "a").map(({ message }) => message);
  deepStrictEqual(messages, ["[redacted] or second-token", "[redacted] or [redacted]"]);
});

Deno.test("a secret does not leave through an error's text", async () => {
  const { runs } = runsOf((ctx) => Promise.reject(new Error(`bad ${ctx.secrets.github.token}`)), {
    now: { github: { token: "ghp_abc" } },
  });
  deepStrictEqual((await runs.start("manual", empty)).result.errors, { a: "bad [redacted]" });
});

Deno.test("a refused host is named, with the line that allows it", async () => {
  const refusal = 'Requires net access to "b.example:443", run again with the --allow-net flag';
  const { runs } = runsOf(() => Promise.reject(new Deno.errors.NotCapable(refusal)));
  deepStrictEqual((await runs.start("manual", empty)).result.errors, {
    a: "b.example is not a declared host; " +
      'in workflow.yaml set nodes.a.capabilities.net: ["a.example", "b.example"]',
  });
});

Deno.test("the id of the request is on every line of its run", async () => {
  const { runs, lines } = runsOf((ctx) => {
    ctx.log.info("hello");
    return Promise.resolve(null);
  });
  await runs.start("manual", empty, { requestId: "request-1" });
  deepStrictEqual(lines.map(({ message, requestId }) => [message, requestId]), [
    ["hello", "request-1"],
    ["run succeeded", "request-1"],
  ]);
});

Deno.test("a run's time limit is the whole run's", async () => {
  const { runs, clock } = runsOf(() => new Promise(() => {}));
  const { result } = await clock.until(runs.start("manual", empty, { timeoutMs: 500 }));
  deepStrictEqual(result.errors, { a: "the run timed out after 500ms" });
});

Deno.test("no more runs are in flight than there may be, and the next one has a place again", async () => {
  const waiting = Promise.withResolvers<string>();
  const { runs } = runsOf(() => waiting.promise, undefined, 2);
  const inFlight = [runs.start("manual", empty), runs.start("manual", empty)];
  await rejects(runs.start("manual", empty), {
    name: "NotStarted",
    message: "2 runs are in flight, which is the limit",
  });
  waiting.resolve("done");
  await Promise.all(inFlight);
  strictEqual((await runs.start("manual", empty)).result.success, true);
});

Deno.test("a run whose payload is being read is in flight: it has a place, and is waited for", async () => {
  const arriving = Promise.withResolvers<unknown>();
  const { runs } = runsOf((_, input) => Promise.resolve(input), undefined, 1);
  const inFlight = runs.start("manual", () => arriving.promise);
  await rejects(runs.start("manual", empty), { name: "NotStarted" });
  const drained = runs.drain();
  strictEqual(runs.inFlight, 1);
  arriving.resolve("here");
  strictEqual((await inFlight).result.outputs.a, "here");
  await drained;
});

Deno.test("a payload that can't be read starts no run, and leaves its place to the next", async () => {
  const { runs, lines } = runsOf(() => Promise.resolve(1), undefined, 1);
  await rejects(runs.start("manual", () => Promise.reject(new Error("no"))), { message: "no" });
  deepStrictEqual(lines, []);
  strictEqual((await runs.start("manual", empty)).result.success, true);
});

Deno.test("what is refused is not read", async () => {
  const { runs } = runsOf(() => Promise.resolve(1), undefined, 0);
  let read = false;
  const payload = (): Promise<void> => Promise.resolve(void (read = true));
  await rejects(runs.start("manual", payload), { name: "NotStarted" });
  strictEqual(read, false);
});

Deno.test("the end of each run is logged, with its trigger and what failed", async () => {
  const { runs, lines } = runsOf((_, input) =>
    input === "bad" ? Promise.reject(new Error("no")) : Promise.resolve(1)
  );
  await runs.start("cron 0 9 * * *", empty);
  await runs.start("manual", () => Promise.resolve("bad"));
  const ends = lines.filter(({ node }) => node === undefined)
    .map(({ level, message, runId, args }) => ({ level, message, runId, args }));
  deepStrictEqual(ends, [
    {
      level: "info",
      message: "run succeeded",
      runId: "run-1",
      args: [{ trigger: "cron 0 9 * * *", durationMs: 0 }],
    },
    {
      level: "error",
      message: "run failed",
      runId: "run-2",
      args: [{ trigger: "manual", durationMs: 0, errors: { a: "no" } }],
    },
  ]);
});

Deno.test("draining waits for the runs in flight and starts no other", async () => {
  const waiting = Promise.withResolvers<string>();
  const { runs, clock } = runsOf(() => waiting.promise);
  clock.after(500, () => waiting.resolve("done"));
  const inFlight = runs.start("manual", empty);
  strictEqual(runs.inFlight, 1);
  const drained = runs.drain();
  strictEqual(runs.draining, true);
  await rejects(runs.start("manual", empty), { message: "the engine is stopping" });
  await clock.until(drained);
  strictEqual(clock.time, 500);
  strictEqual((await inFlight).result.outputs.a, "done");
  strictEqual(runs.inFlight, 0);
});

Deno.test("with nothing in flight draining is done at once", async () => {
  const { runs, clock } = runsOf(() => Promise.resolve(1));
  await runs.drain();
  strictEqual(clock.time, 0);
});
