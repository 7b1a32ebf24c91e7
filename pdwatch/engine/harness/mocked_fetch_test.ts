import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { MockedFetch } from "./mocked_fetch.ts";
import type { Answer } from "./plan.ts";

const URL_A = "https://api.example.com/a";

function answer(given: Partial<Answer> = {}): Answer {
  return {
    url: URL_A,
    method: null,
    status: 200,
    headers: {},
    body: "",
    error: null,
    repeat: false,
    ...given,
  };
}

const fitting: [string, Partial<Answer>, string, RequestInit?][] = [
  ["the same URL", {}, URL_A],
  ["any method, where none is named", {}, URL_A, { method: "DELETE" }],
  ["the method that is named, in whatever case it is asked for", { method: "POST" }, URL_A, {
    method: "post",
  }],
  ["a URL with a query, where none is named", {}, `${URL_A}?page=2`],
  ["the query that is named", { url: `${URL_A}?page=2` }, `${URL_A}?page=2`],
  ["a URL with a fragment, which is never sent", { url: `${URL_A}?page=2` }, `${URL_A}?page=2#top`],
  ["anything in the place of a star", { url: "https://api.example.com/*/b" }, `${URL_A}/x/y/b`],
  ["a host in capital letters", { url: "https://API.example.com/a" }, URL_A],
  ["a URL without its last slash", { url: "https://api.example.com" }, "https://api.example.com/"],
  ["signs that mean something in patterns", { url: `${URL_A}.b+c?d=(e)` }, `${URL_A}.b+c?d=(e)`],
];
for (const [name, given, url, init] of fitting) {
  Deno.test(`an answer fits ${name}`, async () => {
    const mocked = new MockedFetch([answer(given)]);
    await mocked.fetch(url, init);
    deepStrictEqual(mocked.used, [1]);
  });
}

const unfitting: [string, Partial<Answer>, string, RequestInit?][] = [
  ["another path", {}, `${URL_A}/b`],
  ["another host", {}, "https://api.example.org/a"],
  ["another scheme", {}, "http://api.example.com/a"],
  ["another method", { method: "GET" }, URL_A, { method: "POST" }],
  ["another query than the one named", { url: `${URL_A}?page=2` }, `${URL_A}?page=22`],
  ["a dot as any sign", { url: "https://api.example.com/a.b" }, "https://api.example.com/axb"],
];
for (const [name, given, url, init] of unfitting) {
  Deno.test(`an answer does not fit ${name}`, async () => {
    const mocked = new MockedFetch([answer(given)]);
    await rejects(mocked.fetch(url, init), TypeError);
    deepStrictEqual(mocked.used, [0]);
  });
}

Deno.test("an answer has status, headers, body and the URL that was asked for", async () => {
  const given = { status: 404, headers: { "x-rate": "7" }, body: '{"gone":true}' };
  const response = await new MockedFetch([answer(given)]).fetch(`${URL_A}?page=2`);
  strictEqual(response.status, 404);
  strictEqual(response.headers.get("x-rate"), "7");
  strictEqual(response.url, `${URL_A}?page=2`);
  deepStrictEqual(await response.json(), { gone: true });
});

Deno.test("an answer without a body may have a status that allows none", async () => {
  strictEqual((await new MockedFetch([answer({ status: 204 })]).fetch(URL_A)).body, null);
});

Deno.test("answers to the same request are given in order, each once", async () => {
  const mocked = new MockedFetch([answer({ body: "one" }), answer({ body: "two" })]);
  strictEqual(await (await mocked.fetch(URL_A)).text(), "one");
  strictEqual(await (await mocked.fetch(URL_A)).text(), "two");
  await rejects(mocked.fetch(URL_A), { message: `no mock answers GET ${URL_A}` });
  deepStrictEqual(mocked.used, [1, 1]);
});

Deno.test("an answer that repeats is given as often as it is asked for", async () => {
  const mocked = new MockedFetch([answer({ body: "again", repeat: true })]);
  for (const _ of [1, 2]) strictEqual(await (await mocked.fetch(URL_A)).text(), "again");
  deepStrictEqual(mocked.used, [2]);
});

Deno.test("an answer may be that there is none", async () => {
  const mocked = new MockedFetch([answer({ error: "connection refused" })]);
  await rejects(mocked.fetch(URL_A), new TypeError("connection refused"));
  deepStrictEqual([mocked.used, mocked.unmocked], [[1], []]);
});

Deno.test("a request that nothing answers is remembered with its method", async () => {
  const mocked = new MockedFetch([]);
  await rejects(mocked.fetch(new Request(URL_A, { method: "PUT", body: "x" })), TypeError);
  deepStrictEqual(mocked.unmocked, [{ method: "PUT", url: URL_A }]);
});

Deno.test("a request that was aborted before it began uses no answer", async () => {
  const mocked = new MockedFetch([answer()]);
  await rejects(mocked.fetch(URL_A, { signal: AbortSignal.abort(new Error("too late")) }), {
    message: "too late",
  });
  deepStrictEqual([mocked.used, mocked.unmocked], [[0], []]);
});
