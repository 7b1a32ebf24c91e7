import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { consoleOf } from "./console.ts";
import { createLogger } from "./logger.ts";

type Line = { level: string; message: string; args?: unknown[] };

/** What is logged when `use` writes to the console; each look at the clock takes 5 ms. */
function linesOf(use: (console: Console) => void): Line[] {
  const lines: Line[] = [];
  const log = createLogger({
    format: "json",
    write: (line) => lines.push(JSON.parse(line)),
    now: () => new Date(0),
    redact: (text) => text.replaceAll("s3cret", "[redacted]"),
  }, { workflow: "test" });
  let ms = 0;
  use({ ...console, ...consoleOf(log, () => ms += 5) });
  return lines.map(({ level, message, args }) => ({ level, message, ...(args && { args }) }));
}

const written: [string, (console: Console) => void, Line[]][] = [
  ["log", ({ log }) => log("found", 3, { a: 1 }), [
    { level: "info", message: "found", args: [3, { a: 1 }] },
  ]],
  ["log of nothing", ({ log }) => log(), [{ level: "info", message: "" }]],
  ["log of an object", ({ log }) => log({ a: 1 }), [{ level: "info", message: '{"a":1}' }]],
  ["debug", ({ debug }) => debug("m"), [{ level: "debug", message: "m" }]],
  ["info", ({ info }) => info("m"), [{ level: "info", message: "m" }]],
  ["warn", ({ warn }) => warn("m"), [{ level: "warn", message: "m" }]],
  ["error", ({ error }) => error("m", 1), [{ level: "error", message: "m", args: [1] }]],
  ["dir, whose options are not shown", ({ dir }) => dir("m", { depth: 1 }), [
    { level: "info", message: "m" },
  ]],
  ["table", ({ table }) => table([{ a: 1 }]), [{ level: "info", message: '[{"a":1}]' }]],
  ["group", ({ group, groupEnd }) => {
    group("m");
    groupEnd();
  }, [{ level: "info", message: "m" }]],
  ["assert", ({ assert }) => {
    assert(true, "m");
    assert(false, "m");
  }, [{ level: "error", message: "assertion failed", args: ["m"] }]],
  ["count", ({ count, countReset }) => {
    count();
    count();
    countReset();
    count();
  }, [1, 2, 1].map((count) => ({ level: "info", message: "default", args: [{ count }] }))],
  ["time", ({ time, timeLog, timeEnd }) => {
    time("t");
    timeLog("t", "half");
    timeEnd("t");
    timeEnd("t");
  }, [
    { level: "info", message: "t", args: [{ ms: 5 }, "half"] },
    { level: "info", message: "t", args: [{ ms: 10 }] },
    { level: "warn", message: "there is no such timer", args: ["t"] },
  ]],
];

for (const [name, use, lines] of written) {
  Deno.test(`the console's ${name} becomes a log line`, () => deepStrictEqual(linesOf(use), lines));
}

Deno.test("trace shows where", () => {
  const [{ level, args }] = linesOf(({ trace }) => trace("m"));
  strictEqual(level, "debug");
  strictEqual(String(args?.[0]).includes("console_test.ts"), true);
});

Deno.test("no method of the console that writes shows a secret", () => {
  const methods = Object.keys(consoleOf({} as never, () => 0)) as (keyof Console)[];
  for (const method of methods) {
    const lines = linesOf((console) => {
      (console[method] as (...args: unknown[]) => void)("s3cret", { token: "s3cret" });
      (console[method] as (...args: unknown[]) => void)(false, ["s3cret"]);
    });
    strictEqual(JSON.stringify(lines).includes("s3cret"), false, method);
  }
});

Deno.test("whatever else a console has writes nothing of what it is given", () => {
  const silent = ["clear", "groupEnd", "profile", "profileEnd", "timeStamp", "indentLevel"];
  const objects = ["Console", "context", "createTask"];
  const ours = Object.keys(consoleOf({} as never, () => 0));
  const known = new Set([...ours, ...silent, ...objects]);
  deepStrictEqual(Object.keys(console).filter((name) => !known.has(name)), []);
});
