import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { RunResult } from "./executor.ts";
import { Busy, Draining, type Payload, type Run, type RunOptions } from "./runs.ts";
import { createHandler, type Handler } from "./server.ts";
import { TestEnvironment } from "./testing/environment.ts";
import type { Workflow } from "./workflow.ts";

const WORKFLOW: Workflow = {
  name: "hello",
  version: "1.0",
  triggers: [
    { type: "manual" },
    { type: "webhook", path: "/hooks/git hub" },
    { type: "webhook", path: "/health" },
  ],
  nodes: new Map(),
  edges: [],
  timeoutMs: 1000,
  retries: 0,
};

/** A run whose output is what started it. */
async function echo(trigger: string, read: Payload, options?: RunOptions): Promise<Run> {
  const payload = await read();
  const timing = { startedAt: "", completedAt: "", durationMs: 0, nodeTimings: {} };
  return {
    id: "run-1",
    result: { success: true, outputs: { trigger, payload, options }, errors: {}, timing },
  };
}

async function failed(): Promise<Run> {
  const { id, result } = await echo("", () => Promise.resolve({}));
  return { id, result: { ...result, success: false, errors: { a: "broken" } } };
}

interface Serving {
  readonly start?: typeof echo;
  readonly draining?: boolean;
  readonly environment?: TestEnvironment;
}

function serving(
  { start = echo, draining = false, environment = new TestEnvironment() }: Serving = {},
): Handler {
  return createHandler({
    workflow: WORKFLOW,
    sourceDigest: "sha256:abc",
    runs: { start, draining },
    clock: environment.clock,
    log: environment.node("").log,
    newRequestId: () => "request-1",
    maxBodyBytes: 20,
    maxBodyMs: 1000,
    maxBodiesBytes: 30,
  });
}

function request(path: string, init?: RequestInit, handler = serving()): Promise<Response> {
  return handler(new Request(`http://localhost:8080${path}`, init));
}

async function ask(
  path: string,
  init?: RequestInit,
  handler = serving(),
): Promise<[number, unknown]> {
  const response = await request(path, init, handler);
  strictEqual(response.headers.get("Content-Type"), "application/json");
  strictEqual(response.headers.get("X-Request-Id"), "request-1");
  return [response.status, await response.json()];
}

/** What a run was started with. */
async function startedWith(path: string, init?: RequestInit): Promise<unknown> {
  const [status, result] = await ask(path, init);
  strictEqual(status, 200);
  return (result as RunResult).outputs;
}

const json = { "Content-Type": "application/json" };

const answers: [string, string, RequestInit | undefined, number, unknown][] = [
  ["health", "/health", undefined, 200, {
    status: "ok",
    workflow: "hello",
    version: "1.0",
    sourceDigest: "sha256:abc",
  }],
  ["readiness", "/ready", undefined, 200, { status: "ready" }],
  ["an unknown path", "/nowhere?x=1", undefined, 404, { error: "nothing is served at /nowhere" }],
  ["a time limit that is none", "/run?timeout=soon", undefined, 400, {
    error:
      "timeout must be a whole number above 0 and a unit, ms, s or m, such as 500ms, 30s or 2m, " +
      'not "soon"',
  }],
  ["HEAD of a run, which would start one", "/run", { method: "HEAD" }, 405, {
    error: "/run takes GET, POST, not HEAD",
  }],
  ["a trailing slash", "/run/", undefined, 404, { error: "nothing is served at /run/" }],
  ["a wrong method", "/run", { method: "PUT" }, 405, { error: "/run takes GET, POST, not PUT" }],
  ["POST to health, even if a webhook wants it", "/health", { method: "POST" }, 405, {
    error: "/health takes GET, HEAD, not POST",
  }],
  ["a body that is not JSON", "/run", { method: "POST", body: "{", headers: json }, 400, {
    error: "the body is not valid JSON",
  }],
  ["a body that does not claim to be JSON", "/run", { method: "POST", body: "hello" }, 415, {
    error: "the body must be JSON, sent as application/json and not as text/plain;charset=UTF-8",
  }],
  [
    "a body that is too large",
    "/run",
    { method: "POST", body: `"${"x".repeat(19)}"`, headers: json },
    413,
    {
      error: "the body is larger than 20 bytes",
    },
  ],
  [
    "a webhook's body that is too large",
    "/hooks/git%20hub",
    { method: "POST", body: "x".repeat(21) },
    413,
    { error: "the body is larger than 20 bytes" },
  ],
];

for (const [name, path, init, status, body] of answers) {
  Deno.test(`answers ${name}`, async () => deepStrictEqual(await ask(path, init), [status, body]));
}

Deno.test("a body that does not arrive in time is refused", async () => {
  const environment = new TestEnvironment();
  const init = { method: "POST", body: new ReadableStream(), headers: json };
  for (const path of ["/run", "/hooks/git%20hub"]) {
    const answered = ask(path, init, serving({ environment }));
    deepStrictEqual(await environment.clock.until(answered), [408, {
      error: "the body did not arrive within 1000ms",
    }]);
    init.body = new ReadableStream();
  }
});

Deno.test("/run starts a run with its payload, time limit and request id", async () => {
  const init = { method: "POST", body: '{"a": 1}', headers: json };
  deepStrictEqual(await startedWith("/run?timeout=500ms", init), {
    trigger: "manual",
    payload: { a: 1 },
    options: { requestId: "request-1", timeoutMs: 500 },
  });
});

Deno.test("a webhook starts a run with the request, all of whose query is the author's", async () => {
  const { trigger, payload, options } = await startedWith("/hooks/git%20hub?timeout=no") as {
    trigger: string;
    payload: { query: unknown };
    options: unknown;
  };
  deepStrictEqual([trigger, payload.query], ["webhook /hooks/git hub", { timeout: "no" }]);
  deepStrictEqual(options, { requestId: "request-1" });
});

Deno.test("an id that the client sends is the request's, in an error's answer too", async () => {
  const headers = { "X-Request-Id": "mine" };
  for (const path of ["/run", "/nowhere"]) {
    strictEqual((await request(path, { headers })).headers.get("X-Request-Id"), "mine");
  }
});

Deno.test("a failed run answers 500 with its result, and every run says its id", async () => {
  const response = await request("/run", {}, serving({ start: failed }));
  const { success, errors } = await response.json();
  deepStrictEqual([response.status, success, errors], [500, false, { a: "broken" }]);
  strictEqual(response.headers.get("X-Run-Id"), "run-1");
});

Deno.test("a wrong method is told the right ones", async () => {
  const response = await request("/run", { method: "DELETE" });
  strictEqual(response.headers.get("Allow"), "GET, POST");
});

const refusals: [string, Error, number][] = [
  ["while it drains", new Draining(), 503],
  ["while as many runs are in flight as there may be", new Busy(64), 429],
];

for (const [name, refusal, status] of refusals) {
  Deno.test(`${name} the engine takes no run, hears the client out, and says when to come again`, async () => {
    const sent = new Request("http://localhost/run", { method: "POST", body: "{}", headers: json });
    const response = await serving({ start: () => Promise.reject(refusal) })(sent);
    deepStrictEqual([response.status, await response.json()], [status, { error: refusal.message }]);
    deepStrictEqual([response.headers.get("Retry-After"), sent.bodyUsed], ["1", true]);
  });
}

Deno.test("bodies that would take up too much memory together are refused until a run ends", async () => {
  const read = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const handler = serving({
    start: async (...args) => {
      const run = await echo(...args);
      read.resolve();
      await ended.promise;
      return run;
    },
  });
  const init = { method: "POST", body: `"${"x".repeat(18)}"`, headers: json };
  const first = ask("/run", init, handler);
  await read.promise;
  for (const path of ["/run", "/hooks/git%20hub"]) {
    const refused = await request(path, init, handler);
    deepStrictEqual([refused.status, refused.headers.get("Retry-After")], [429, "1"]);
    deepStrictEqual(await refused.json(), {
      error: "the bodies of the runs in flight take up all the memory that there is for them",
    });
  }
  ended.resolve();
  strictEqual((await first)[0], 200);
  strictEqual((await ask("/run", init, handler))[0], 200);
});

Deno.test("while it drains the engine is healthy, but not ready", async () => {
  const handler = serving({ draining: true });
  strictEqual((await ask("/health", undefined, handler))[0], 200);
  deepStrictEqual(await ask("/ready", undefined, handler), [503, { status: "draining" }]);
});

Deno.test("the engine's own fault is logged with the request's id, and kept from the client", async () => {
  const environment = new TestEnvironment();
  const handler = serving({ start: () => Promise.reject(new Error("bug")), environment });
  deepStrictEqual(await ask("/run", undefined, handler), [500, { error: "internal error" }]);
  const [{ message, args }] = environment.lines;
  strictEqual(message, "a request failed within the engine");
  const [{ requestId, error }] = args as [{ requestId: string; error: { message: string } }];
  deepStrictEqual([requestId, error.message], ["request-1", "bug"]);
});
