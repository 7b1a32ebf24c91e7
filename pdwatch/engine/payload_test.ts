import { deepStrictEqual, rejects, strictEqual, throws } from "node:assert/strict";
import {
  BodyMemory,
  discardBody,
  requestIdOf,
  runPayload,
  timeoutOf,
  webhookPayload,
} from "./payload.ts";
import { VirtualClock } from "./testing/virtual_clock.ts";

const LIMIT = 20;
const limits = { clock: new VirtualClock(), bytes: LIMIT, ms: 1000 };
const ROOM = new BodyMemory(10 * LIMIT);
const URL_OF = "http://localhost:8080/run";

function requestOf(init?: RequestInit, query = ""): Request {
  return new Request(URL_OF + query, init);
}

const encoder = new TextEncoder();
const json = { "Content-Type": "application/json" };

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
  ["bytes without a type", { method: "POST", body: encoder.encode("[2]") }, [2]],
];

for (const [name, init, payload] of payloads) {
  Deno.test(`/run takes ${name}`, async () => {
    deepStrictEqual(await runPayload(requestOf(init), limits, ROOM.share()), payload);
  });
}

const large = `"${"x".repeat(LIMIT - 1)}"`;

function inChunks(text: string): ReadableStream {
  return ReadableStream.from([text.slice(0, 5), text.slice(5)].map((part) => encoder.encode(part)));
}

const refused: [string, RequestInit, number, string][] = [
  ["is not JSON", { body: "{", headers: json }, 400, "the body is not valid JSON"],
  [
    "does not claim to be JSON",
    { body: "hello" },
    415,
    "the body must be JSON, sent as application/json and not as text/plain;charset=UTF-8",
  ],
  [
    "says that it is too large",
    { body: "1", headers: { ...json, "Content-Length": "21" } },
    413,
    "the body is larger than 20 bytes",
  ],
  ["turns out too large", { body: inChunks(large) }, 413, "the body is larger than 20 bytes"],
  [
    "ends early",
    { body: new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) }) },
    400,
    "the body ended early",
  ],
];

for (const [name, init, status, message] of refused) {
  Deno.test(`/run refuses a body that ${name}`, () =>
    rejects(runPayload(requestOf({ method: "POST", ...init }), limits, ROOM.share()), {
      status,
      message,
    }));
}

Deno.test("a body that says that it is too large is refused at once, and what is sent of it forgotten", async () => {
  const request = requestOf({ method: "POST", body: "1", headers: { "Content-Length": "21" } });
  await rejects(webhookPayload(request, limits, ROOM.share()), { status: 413 });
  strictEqual(request.bodyUsed, false);
  await discardBody(request, limits);
  strictEqual(request.bodyUsed, true);
});

Deno.test("a body to forget that never ends is heard for its time", async () => {
  const clock = new VirtualClock();
  const request = requestOf({ method: "POST", body: new ReadableStream() });
  await clock.until(discardBody(request, { ...limits, clock }));
  strictEqual(clock.time, 1000);
});

Deno.test("of a body that turns out too large nothing more is kept, but all is read", async () => {
  let sent = 0;
  const body = new ReadableStream({
    pull: (controller) => {
      controller.enqueue(encoder.encode("x".repeat(LIMIT + 1)));
      if (++sent === 3) controller.close();
    },
  });
  await rejects(runPayload(requestOf({ method: "POST", body }), limits, ROOM.share()), {
    status: 413,
  });
  strictEqual(sent, 3);
});

Deno.test("what a refused body took up is free at once, however much of it is still to come", async () => {
  const memory = new BodyMemory(LIMIT);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const [writer, share] = [writable.getWriter(), memory.share()];
  const refused = rejects(
    runPayload(requestOf({ method: "POST", body: readable }), limits, share),
    { status: 413 },
  );
  await writer.write(encoder.encode("x".repeat(LIMIT)));
  await writer.write(encoder.encode("x"));
  await writer.write(encoder.encode("x"));
  strictEqual(memory.share().take(LIMIT), true);
  await writer.close();
  await refused;
});

Deno.test("a letter whose bytes come in two chunks is one", async () => {
  const [first, second] = [encoder.encode('"ü"').slice(0, 2), encoder.encode('"ü"').slice(2)];
  const body = ReadableStream.from([first, second]);
  strictEqual(
    await runPayload(requestOf({ method: "POST", body }), limits, ROOM.share()),
    "ü",
  );
});

Deno.test("a body that trickles in is given up after its time, and the client is told to stop", async () => {
  const clock = new VirtualClock();
  const stopped = Promise.withResolvers<void>();
  const body = new ReadableStream({
    start: (controller) => {
      const trickle = (): void => {
        controller.enqueue(encoder.encode("x"));
        clock.after(300, trickle);
      };
      trickle();
    },
    cancel: () => stopped.resolve(),
  });
  const reading = runPayload(
    requestOf({ method: "POST", body }),
    { ...limits, clock },
    ROOM.share(),
  );
  await rejects(clock.until(reading), {
    status: 408,
    message: "the body did not arrive within 1000ms",
  });
  strictEqual(clock.time, 1000);
  await stopped.promise;
});

Deno.test("the time for a body ends when it has arrived", async () => {
  const clock = new VirtualClock();
  const body = new ReadableStream({
    start: (controller) =>
      void clock.after(999, () => {
        controller.enqueue(encoder.encode("[1]"));
        controller.close();
      }),
  });
  const request = requestOf({ method: "POST", body, headers: json });
  deepStrictEqual(await clock.until(runPayload(request, { ...limits, clock }, ROOM.share())), [1]);
  await rejects(clock.until(new Promise(() => {})), { message: "nothing is left to wait for" });
});

Deno.test("a body exactly as large as the limit is taken", async () => {
  const body = `"${"x".repeat(LIMIT - 2)}"`;
  const headers = { ...json, "Content-Length": `${LIMIT}` };
  strictEqual(
    await runPayload(requestOf({ method: "POST", body, headers }), limits, ROOM.share()),
    JSON.parse(body),
  );
});

Deno.test("a webhook's payload is the request: method, headers, query and body", async () => {
  const init = { method: "PUT", body: '{"ref": 1}', headers: { ...json, "X-Event": "push" } };
  deepStrictEqual(await webhookPayload(requestOf(init, "?a=1&b=x%20y"), limits, ROOM.share()), {
    method: "PUT",
    headers: { "content-type": "application/json", "x-event": "push" },
    query: { a: "1", b: "x y" },
    body: { ref: 1 },
    rawBody: '{"ref": 1}',
  });
});

const bodies: [string, RequestInit, unknown][] = [
  ["no body is null", {}, null],
  ["a form is text", { method: "POST", body: new URLSearchParams({ a: "1" }) }, "a=1"],
  ["JSON by another name is text", { method: "POST", body: "[1]" }, "[1]"],
];

for (const [name, init, body] of bodies) {
  Deno.test(`in a webhook's payload ${name}`, async () => {
    deepStrictEqual((await webhookPayload(requestOf(init), limits, ROOM.share())).body, body);
  });
}

const ids: [string, string | undefined, string | undefined][] = [
  ["a UUID", "0b9d5e2c-6c1f-4f7e-9f27-7d1f4f5f3c11", "0b9d5e2c-6c1f-4f7e-9f27-7d1f4f5f3c11"],
  [
    "a trace id",
    "Root=1-67891233-abcdef012345678912345678",
    "Root=1-67891233-abcdef012345678912345678",
  ],
  ["nothing", undefined, undefined],
  ["an empty one", "", undefined],
  ["one with a space", "a b", undefined],
  ["one that quotes", 'a"b', undefined],
  ["as long a one as there may be", "x".repeat(128), "x".repeat(128)],
  ["one that is too long", "x".repeat(129), undefined],
];

for (const [name, sent, taken] of ids) {
  Deno.test(`as the request's id ${name} is ${taken === undefined ? "not " : ""}taken`, () => {
    const headers: HeadersInit = sent === undefined ? {} : { "X-Request-Id": sent };
    strictEqual(requestIdOf(requestOf({ headers })), taken);
  });
}

Deno.test("the run's time limit is written as in workflow.yaml", () => {
  strictEqual(timeoutOf(requestOf({}, "?timeout=2m")), 120_000);
  strictEqual(timeoutOf(requestOf()), undefined);
  for (const wrong of ["", "30", "-1s", "0s", "1h"]) {
    throws(() => timeoutOf(requestOf({}, `?timeout=${wrong}`)), {
      status: 400,
      message:
        "timeout must be a whole number above 0 and a unit, ms, s or m, such as 500ms, 30s or 2m, " +
        `not "${wrong}"`,
    });
  }
});
