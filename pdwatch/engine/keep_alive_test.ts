import { deepStrictEqual, ok, throws } from "node:assert/strict";
import { keepAlive } from "./keep_alive.ts";
import type { Logger } from "./mod.ts";

const lines: [string, unknown][] = [];
const log = { error: (message: string, thrown: unknown) => void lines.push([message, thrown]) };
const { exit } = Deno;
keepAlive(log as Logger);
const takenAway = { exit: Deno.exit, close: globalThis.close };
Deno.exit = exit; // Deno's own test runner needs it

for (const [name, end] of Object.entries(takenAway)) {
  Deno.test(`a node that calls ${name} gets an error`, () => {
    throws(() => end(), { message: "a node can't end the engine; return, or throw an error" });
  });
}

Deno.test("what nothing catches is logged, and goes no further", () => {
  const reason = new Error("left behind");
  const promise = Promise.resolve();
  const events = [
    new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true }),
    new ErrorEvent("error", { error: reason, cancelable: true }),
  ];
  for (const event of events) {
    globalThis.dispatchEvent(event);
    ok(event.defaultPrevented);
  }
  deepStrictEqual(lines, [
    ["a promise was rejected that nothing waits for", reason],
    ["an error was thrown outside of any node's run", reason],
  ]);
});
