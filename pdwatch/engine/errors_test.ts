import { match, strictEqual } from "node:assert/strict";
import { messageOf } from "./errors.ts";

const cases: [string, unknown, string][] = [
  ["an Error", new Error("no such repository"), "no such repository"],
  ["an Error without a message", new RangeError(), "RangeError"],
  ["a DOMException", new DOMException("aborted", "AbortError"), "aborted"],
  ["a string", "boom", 'threw "boom", which is not an Error'],
  ["an object", { code: 7 }, "threw { code: 7 }, which is not an Error"],
  ["null", null, "threw null, which is not an Error"],
  ["undefined", undefined, "threw undefined, which is not an Error"],
];

for (const [name, thrown, expected] of cases) {
  Deno.test(`the message of ${name}`, () => strictEqual(messageOf(thrown), expected));
}

Deno.test("a fetch that failed says what failed", () => {
  const cause = new Error("dns error: no such host");
  strictEqual(
    messageOf(new TypeError("fetch failed", { cause })),
    "fetch failed: dns error: no such host",
  );
  strictEqual(messageOf(new Error("down", { cause })), "down");
});

Deno.test("an Error whose message throws still gets words", () => {
  const hostile = new Error();
  Object.defineProperty(hostile, "message", {
    get: () => {
      throw new Error("gotcha");
    },
  });
  strictEqual(messageOf(hostile), "threw something that cannot be shown");
});

Deno.test("a long text is cut", () => {
  match(messageOf("x".repeat(10_000)), /^threw "x{200}"\.\.\. 9800 more characters, which/);
});
