import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { createContext, requestOf } from "./context.ts";
import type { Context } from "./mod.ts";
import { TestEnvironment } from "./testing/environment.ts";

const SECRETS = {
  github: { token: "ghp_abc" },
  stripe: { api_key: "sk_test" },
  both: { token: "t", api_key: "k" },
  note: { value: "plain text" },
};

function contextOf(parts: { config?: Context["config"]; signal?: AbortSignal } = {}): Context {
  const { log } = new TestEnvironment().node("a");
  const { signal } = new AbortController();
  return createContext({ config: {}, secrets: SECRETS, log, signal, ...parts });
}

const urls: [string, string, string, string][] = [
  ["a path of the service", "github", "/repos?page=2", "https://api.github.com/repos?page=2"],
  ["a path without its slash", "github", ".evil.org/x", "https://api.github.com/.evil.org/x"],
  ["a full URL", "github", "https://ghe.local/api", "https://ghe.local/api"],
  ["a full URL in capitals", "github", "HTTP://ghe.local/api", "HTTP://ghe.local/api"],
  ["a path that starts with http", "web", "httpbin/get", "https://api.web.com/httpbin/get"],
];

for (const [name, service, path, url] of urls) {
  Deno.test(`fetch asks for ${name}`, () =>
    strictEqual(requestOf(service, path, {}, SECRETS).url, url));
}

const headers: [string, string, RequestInit["headers"], Record<string, string>][] = [
  ["a token", "github", undefined, { authorization: "Bearer ghp_abc" }],
  ["an API key", "stripe", undefined, { "x-api-key": "sk_test" }],
  ["both", "both", undefined, { authorization: "Bearer t", "x-api-key": "k" }],
  ["a plain-text secret", "note", undefined, {}],
  ["no secret", "unknown", { accept: "text/plain" }, { accept: "text/plain" }],
  ["a service named like a property of every object", "constructor", undefined, {}],
  ["a header that the node sets itself", "both", { Authorization: "Basic x" }, {
    authorization: "Basic x",
    "x-api-key": "k",
  }],
  ["headers given as a list", "github", [["accept", "a/b"]], {
    accept: "a/b",
    authorization: "Bearer ghp_abc",
  }],
];

for (const [name, service, init, expected] of headers) {
  Deno.test(`headers with ${name}`, () => {
    const request = requestOf(service, "/", { headers: init }, SECRETS);
    deepStrictEqual(Object.fromEntries(request.headers), expected);
  });
}

Deno.test("fetch sends what it was given, with the credentials", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      return Response.json([
        request.method,
        request.headers.get("authorization"),
        await request.text(),
      ]);
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const response = await contextOf().fetch("github", url, { method: "PUT", body: "hello" });
  deepStrictEqual(await response.json(), ["PUT", "Bearer ghp_abc", "hello"]);
});

Deno.test("fetch is aborted when the node's time is up, and by the node itself", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      new Promise<Response>((resolve) => {
        request.signal.addEventListener("abort", () => resolve(new Response()));
      }),
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const limit = new AbortController();
  const own = new AbortController();
  const byLimit = contextOf({ signal: limit.signal }).fetch("github", url, {
    signal: new AbortController().signal,
  });
  const byNode = contextOf().fetch("github", url, { signal: own.signal });
  limit.abort(new Error("time is up"));
  own.abort(new Error("changed my mind"));
  await rejects(byLimit, { message: "time is up" });
  await rejects(byNode, { message: "changed my mind" });
});

Deno.test("what a node does to its config and secrets stays with it", () => {
  const config = { list: [1] };
  const first = contextOf({ config });
  (first.config.list as number[]).push(2);
  first.secrets.github.token = "changed";
  const second = contextOf({ config });
  deepStrictEqual(second.config, { list: [1] });
  strictEqual(second.secrets.github.token, "ghp_abc");
});
