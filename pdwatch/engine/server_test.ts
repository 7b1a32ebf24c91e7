import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import type { RunResult } from "./executor.ts";
import { Draining, type Run } from "./runs.ts";
import { createHandler, type Handler } from "./server.ts";
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
function echo(trigger: string, payload: unknown): Promise<Run> {
  const timing = { startedAt: "", completedAt: "", durationMs: 0, nodeTimings: {} };
  return Promise.resolve({
    id: "run-1",
    result: { success: true, outputs: { trigger, payload }, errors: {}, timing },
  });
}

async function failed(): Promise<Run> {
  const { id, result } = await echo("", {});
  return { id, result: { ...result, success: false, errors: { a: "broken" } } };
}

function serving(start = echo, draining = false): Handler {
  const runs = { start, draining };
  return createHandler({ workflow: WORKFLOW, sourceDigest: "sha256:abc", runs, maxBodyBytes: 20 });
}

async function ask(
  path: string,
  init?: RequestInit,
  handler = serving(),
): Promise<[number, unknown]> {
  const response = await handler(new Request(`http://localhost:8080${path}`, init));
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

const payloads: [string, RequestInit | undefined, unknown][] = [
  ["GET", undefined, {}],
  ["POST without a body", { method: "POST" }, {}],
  ["a JSON body", { method: "POST", body: '{"a": 1}', headers: json }, { a: 1 }],
  ["a JSON body that is no object", { method: "POST", body: "[1]", headers: json }, [1]],
  ["a JSON body with its character set", {
    method: "POST",
    body: '"ü"',
    headers: { "Content-Type": "application/json; charset=utf-8" },
  }, "ü"],
  ["a kind of JSON", {
    method: "POST",
    body: '{"a": 1}',
    headers: { "Content-Type": "application/vnd.api+json" },
  }, { a: 1 }],
  ["bytes without a type", { method: "POST", body: new TextEncoder().encode("[2]") }, [2]],
];

for (const [name, init, payload] of payloads) {
  Deno.test(`/run takes ${name}`, async () => {
    deepStrictEqual(await startedWith("/run", init), { trigger: "manual", payload });
  });
}

Deno.test("a body exactly as large as the limit is taken", async () => {
  const body = `"${"x".repeat(18)}"`;
  const { payload } = await startedWith("/run", { method: "POST", body, headers: json }) as {
    payload: string;
  };
  strictEqual(payload.length, 18);
});

Deno.test("a body that ends early is the client's fault", async () => {
  const body = new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) });
  deepStrictEqual(await ask("/run", { method: "POST", body }), [400, {
    error: "the body ended early",
  }]);
});

Deno.test("a webhook's payload is the request: method, headers, query and body", async () => {
  const init = { method: "PUT", body: '{"ref": 1}', headers: { ...json, "X-Event": "push" } };
  deepStrictEqual(await startedWith("/hooks/git%20hub?a=1&b=x%20y", init), {
    trigger: "webhook /hooks/git hub",
    payload: {
      method: "PUT",
      headers: { "content-type": "application/json", "x-event": "push" },
      query: { a: "1", b: "x y" },
      body: { ref: 1 },
      rawBody: '{"ref": 1}',
    },
  });
});

const bodies: [string, RequestInit, unknown][] = [
  ["no body is null", {}, null],
  ["a form is text", { method: "POST", body: new URLSearchParams({ a: "1" }) }, "a=1"],
  ["JSON by another name is text", { method: "POST", body: "[1]" }, "[1]"],
];

for (const [name, init, body] of bodies) {
  Deno.test(`in a webhook's payload ${name}`, async () => {
    const { payload } = await startedWith("/hooks/git%20hub", init) as {
      payload: { body: unknown };
    };
    deepStrictEqual(payload.body, body);
  });
}

Deno.test("a failed run answers 500 with its result, and every run says its id", async () => {
  const response = await serving(failed)(new Request("http://localhost/run"));
  const { success, errors } = await response.json();
  deepStrictEqual([response.status, success, errors], [500, false, { a: "broken" }]);
  strictEqual(response.headers.get("X-Run-Id"), "run-1");
});

Deno.test("a wrong method is told the right ones", async () => {
  const response = await serving()(new Request("http://localhost/run", { method: "DELETE" }));
  strictEqual(response.headers.get("Allow"), "GET, POST");
});

Deno.test("while it drains the engine is healthy, not ready, and takes no run", async () => {
  const handler = serving(() => Promise.reject(new Draining()), true);
  strictEqual((await ask("/health", undefined, handler))[0], 200);
  deepStrictEqual(await ask("/ready", undefined, handler), [503, { status: "draining" }]);
  deepStrictEqual(await ask("/run", undefined, handler), [503, {
    error: "the engine is stopping",
  }]);
});

Deno.test("the engine's own fault is not hidden from whoever serves the handler", async () => {
  await rejects(ask("/run", undefined, serving(() => Promise.reject(new Error("bug")))), {
    message: "bug",
  });
});
