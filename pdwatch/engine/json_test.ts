import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { encodeOutput } from "./json.ts";

const cyclic: Record<string, unknown> = {};
cyclic.items = [{ self: cyclic }];
const shared = { a: 1 };
class Repo {
  constructor(readonly stars: number) {}
}

const held: [string, unknown, unknown][] = [
  ["null", null, null],
  ["an empty object", {}, {}],
  ["an object without a prototype", Object.create(null), {}],
  ["an empty list", [], []],
  ["a property that is undefined", { a: undefined, b: 1 }, { b: 1 }],
  ["NaN", [NaN], [null]],
  ["a date", { at: new Date(0) }, { at: "1970-01-01T00:00:00.000Z" }],
  ["an instance with properties", new Repo(3), { stars: 3 }],
  ["the same object twice", [shared, shared], [shared, shared]],
];

for (const [name, value, expected] of held) {
  Deno.test(`JSON holds ${name}`, () => deepStrictEqual(JSON.parse(encodeOutput(value)), expected));
}

const refused: [string, unknown, string][] = [
  [
    "undefined",
    undefined,
    "returned undefined, which JSON can't hold; return null to pass nothing on",
  ],
  [
    "a value whose toJSON gives undefined",
    { toJSON: () => undefined },
    "returned undefined, which JSON can't hold; return null to pass nothing on",
  ],
  ["a BigInt", { n: [1n] }, "returned what JSON can't hold: the result.n[0] is of type bigint"],
  ["a function", { f: () => 1 }, "returned what JSON can't hold: the result.f is of type function"],
  ["a symbol", Symbol("s"), "returned what JSON can't hold: the result is of type symbol"],
  ["a Response", new Response(), "returned what JSON can't hold: the result is of type Response"],
  ["a Map", { m: new Map() }, "returned what JSON can't hold: the result.m is of type Map"],
  ["an Error", [new Error()], "returned what JSON can't hold: the result[0] is of type Error"],
  [
    "bytes",
    { b: new Uint8Array(9) },
    "returned what JSON can't hold: the result.b is of type Uint8Array",
  ],
  [
    "a cycle",
    cyclic,
    "returned what JSON can't hold: the result.items[0].self contains itself",
  ],
];

for (const [name, value, message] of refused) {
  Deno.test(`JSON can't hold ${name}`, () => {
    throws(() => encodeOutput(value), { name: "TypeError", message });
  });
}

Deno.test("nesting too deep for JSON is an error like any other", () => {
  let deep: unknown[] = [];
  for (let depth = 0; depth < 1_000_000; depth++) deep = [deep];
  throws(() => encodeOutput(deep));
});

Deno.test("a value's toJSON decides", () => {
  strictEqual(encodeOutput({ toJSON: () => ({ ok: true }) }), '{"ok":true}');
});
