import { strictEqual } from "node:assert/strict";
import { type Failing, failureOf } from "./permissions.ts";

function refused(what: string): Error {
  return new Deno.errors.NotCapable(`Requires ${what}, run again with the --allow-x flag`);
}

const NET = refused('net access to "api.other.com:443"');
const SET = "is not a declared host; in workflow.yaml set nodes.get.capabilities.net:";
const cyclic: Error & { cause?: unknown } = new Error("around");
cyclic.cause = cyclic;

const failures: [string, unknown, string][] = [
  ["any other error", new Error("no such repository"), "no such repository"],
  ["what is no Error", "boom", 'threw "boom", which is not an Error'],
  ["a host", NET, `api.other.com ${SET} ["api.other.com"]`],
  [
    "a host's port that no scheme implies",
    refused('net access to "db:5432"'),
    `db:5432 ${SET} ["db:5432"]`,
  ],
  [
    "an IPv6 address",
    refused('net access to "[::1]:80"'),
    "[::1] is not permitted; declare a host by its name instead",
  ],
  [
    "a host that node:http asks the resolver for",
    Object.assign(new Error("getaddrinfo EPERM x.local"), {
      code: "EPERM",
      syscall: "getaddrinfo",
      hostname: "x.local",
    }),
    `x.local ${SET} ["x.local"]`,
  ],
  [
    "a host that the resolver does not know",
    Object.assign(new Error("getaddrinfo ENOTFOUND x.local"), {
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
      hostname: "x.local",
    }),
    "getaddrinfo ENOTFOUND x.local",
  ],
  [
    "a refusal as the cause",
    new Error("GitHub is down", { cause: new Error("fetch failed", { cause: NET }) }),
    `GitHub is down: api.other.com ${SET} ["api.other.com"]`,
  ],
  ["causes that go in a circle", cyclic, "around"],
  [
    "an environment variable",
    refused('env access to "HOME"'),
    "reads environment variable HOME, which is not permitted; " +
    "take settings from ctx.config and credentials from ctx.secrets",
  ],
  [
    "the whole environment",
    refused("env access"),
    "reads the environment, which is not permitted; " +
    "take settings from ctx.config and credentials from ctx.secrets",
  ],
  [
    "a program",
    refused('run access to "/bin/sh"'),
    "starts the program /bin/sh, which is not permitted; " +
    "the image holds no other program, so do it in TypeScript or ask a service for it",
  ],
  [
    "a signal",
    refused("run access"),
    "starts or signals a program, which is not permitted; " +
    "the image holds no other program, so do it in TypeScript or ask a service for it",
  ],
  [
    "a file outside /app",
    refused('read access to "/etc/a \n"b"'),
    'reads /etc/a \n"b, which is not permitted; ' +
    "only files below /app can be read: list them under config.include in workflow.yaml",
  ],
  [
    "a file to write",
    refused('write access to "/app/x"'),
    "writes /app/x, which is not permitted; " +
    "only below /tmp can files be written, and they last as long as the pod",
  ],
  [
    "a native library",
    refused('ffi access to "libc.so.6"'),
    "loads the native library libc.so.6, which is not permitted; use a package without native code",
  ],
  [
    "the system",
    refused('sys access to "hostname"'),
    "asks the system for hostname, which is not permitted; take what you need from ctx.config",
  ],
  [
    "a kind of access that Deno may come to have",
    refused('clock access to "UTC"'),
    "needs clock access to UTC, which is not permitted; do without it",
  ],
  [
    "a refusal in words that Deno may come to use",
    new Deno.errors.NotCapable("not allowed"),
    "not allowed",
  ],
];

for (const [name, thrown, message] of failures) {
  Deno.test(`the failure by ${name}`, () => strictEqual(failureOf(thrown, { id: "get" }), message));
}

Deno.test("the line to set holds what is declared already, in YAML's quotes", () => {
  const node: Failing = { id: "get", hosts: ["*.github.com", "db:5432"] };
  strictEqual(
    failureOf(NET, node),
    `api.other.com ${SET} ["*.github.com", "db:5432", "api.other.com"]`,
  );
});

Deno.test("this Deno refuses in the words that are understood", () => {
  let thrown: unknown;
  try {
    Deno.env.get("HOME");
  } catch (error) {
    thrown = error;
  }
  strictEqual(
    failureOf(thrown, { id: "get" }).startsWith("reads environment variable HOME,"),
    true,
  );
});

Deno.test("an error whose cause throws keeps its message", () => {
  const hostile = new Error("broken");
  Object.defineProperty(hostile, "cause", {
    get: () => {
      throw new Error("gotcha");
    },
  });
  strictEqual(failureOf(hostile, { id: "get" }), "broken");
});
