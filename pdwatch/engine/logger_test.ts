import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { createLogger, type LogFormat, type LogScope } from "./logger.ts";
import type { Logger } from "./mod.ts";

const SCOPE = { workflow: "hello", node: "greet", runId: "r1" };

function logTo(lines: string[], format: LogFormat, scope: LogScope = SCOPE): Logger {
  return createLogger({
    format,
    write: (line) => lines.push(line),
    now: () => new Date(0),
    redact: (text) => text.replaceAll("s3cret", "[redacted]"),
  }, scope);
}

/** The arguments as they appear in a JSON line. */
function logged(...args: unknown[]): unknown {
  const lines: string[] = [];
  logTo(lines, "json").info("m", ...args);
  return JSON.parse(lines[0]).args;
}

Deno.test("a line is JSON with time, level, workflow, node, run id, message and arguments", () => {
  const lines: string[] = [];
  logTo(lines, "json").warn("slow", { ms: 5 }, "x");
  strictEqual(
    lines[0],
    '{"time":"1970-01-01T00:00:00.000Z","level":"warn","workflow":"hello","node":"greet",' +
      '"runId":"r1","message":"slow","args":[{"ms":5},"x"]}',
  );
});

Deno.test("what the engine says itself has no node, no run id and no empty list of arguments", () => {
  const lines: string[] = [];
  logTo(lines, "json", { workflow: "hello" }).info("ready");
  deepStrictEqual(JSON.parse(lines[0]), {
    time: "1970-01-01T00:00:00.000Z",
    level: "info",
    workflow: "hello",
    message: "ready",
  });
});

Deno.test("each level says its name", () => {
  const lines: string[] = [];
  const log = logTo(lines, "json");
  for (const level of ["debug", "info", "warn", "error"] as const) log[level]("m");
  deepStrictEqual(lines.map((line) => JSON.parse(line).level), ["debug", "info", "warn", "error"]);
});

Deno.test("a person reads time, level, node, message and arguments", () => {
  const lines: string[] = [];
  logTo(lines, "text").info("found", "three", { repos: 3 });
  logTo(lines, "text", { workflow: "hello" }).error("stopped");
  deepStrictEqual(lines, [
    '00:00:00.000 INFO  [greet] found three {"repos":3}',
    "00:00:00.000 ERROR stopped",
  ]);
});

const cyclic: Record<string, unknown> = { name: "loop" };
cyclic.self = cyclic;
const hostile = {
  get trap(): never {
    throw new Error("gotcha");
  },
};

const shown: [string, unknown, unknown][] = [
  ["undefined", undefined, "undefined"],
  ["a BigInt", 12n, "12"],
  ["NaN", NaN, "NaN"],
  ["null", [null, true], [null, true]],
  ["a cycle", cyclic, { name: "loop", self: "[circular]" }],
  ["the same object twice", [SCOPE, SCOPE], [SCOPE, SCOPE]],
  ["a date", new Date(0), "1970-01-01T00:00:00.000Z"],
  ["a Map", new Map([["a", 1]]), 'Map(1) { "a" => 1 }'],
  ["a getter that throws", hostile, "[cannot be shown]"],
];

for (const [name, value, expected] of shown) {
  Deno.test(`logging shows ${name}`, () => deepStrictEqual(logged(value), [expected]));
}

Deno.test("an Error shows its name, message, stack and cause", () => {
  const [error] = logged(new TypeError("outer", { cause: new Error("inner") })) as [
    { name: string; message: string; stack: string; cause: { message: string } },
  ];
  deepStrictEqual([error.name, error.message, error.cause.message], [
    "TypeError",
    "outer",
    "inner",
  ]);
  strictEqual(error.stack.includes("logger_test.ts"), true);
});

const deep = JSON.parse(`${'{"a":'.repeat(20)}"s3cret"${"}".repeat(20)}`);
const hidden: [string, unknown][] = [
  ["a string", "token s3cret"],
  ["a property", { headers: { authorization: "Bearer s3cret" } }],
  ["a property's name", { s3cret: 1 }],
  ["a list", [["s3cret"]]],
  ["an Error", new Error("bad s3cret", { cause: "s3cret" })],
  ["Headers", new Headers({ authorization: "Bearer s3cret" })],
  ["a Map", new Map([["s3cret", "s3cret"]])],
  ["a function", () => "s3cret"],
  ["a symbol", Symbol("s3cret")],
  ["toJSON", { toJSON: () => ({ token: "s3cret" }) }],
  ["deep nesting", deep],
];

for (const [name, value] of hidden) {
  Deno.test(`a secret is masked in ${name}, and in the message`, () => {
    for (const format of ["json", "text"] as const) {
      const lines: string[] = [];
      logTo(lines, format).info(value as string, value);
      strictEqual(lines.join().includes("s3cret"), false, lines.join());
    }
  });
}
