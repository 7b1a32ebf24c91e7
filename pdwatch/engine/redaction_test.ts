import { strictEqual } from "node:assert/strict";
import { Redactor } from "./redaction.ts";

function redactorOf(...values: (string | number)[]): Redactor {
  const redactor = new Redactor();
  redactor.learn({ service: { values } } as never);
  return redactor;
}

const cases: [string, (string | number)[], string, string][] = [
  ["nothing learnt", [], "hello", "hello"],
  [
    "a value within text",
    ["ghp_abc"],
    "Bearer ghp_abc, twice ghp_abc",
    "Bearer [redacted], twice [redacted]",
  ],
  ["signs that mean something in a pattern", ["a.b*c("], "xa.b*c(x a-b*c(", "x[redacted]x a-b*c("],
  ["a value inside a JSON text", ['say "hi"\n'], '{"k":"say \\"hi\\"\\n"}', '{"k":"[redacted]"}'],
  ["a value inside a URL", ["p&ss/word"], "https://h/?k=p%26ss%2Fword", "https://h/?k=[redacted]"],
  ["a value that contains another", ["abcd", "abcdef"], "abcdef abcd", "[redacted] [redacted]"],
  ["a number", [481516], "pin 481516", "pin [redacted]"],
  ["a short value that stands alone", ["eu"], "eu", "[redacted]"],
  ["a short value within text", ["eu"], "queue", "queue"],
  ["an empty value", [""], "hello", "hello"],
  ["half a surrogate pair", ["abc\ud800"], "abc\ud800!", "[redacted]!"],
];

for (const [name, values, text, expected] of cases) {
  Deno.test(`redacted: ${name}`, () => strictEqual(redactorOf(...values).redact(text), expected));
}

Deno.test("a value that was rotated away stays masked", () => {
  const redactor = redactorOf("first-token");
  redactor.learn({ github: { token: "second-token" } });
  strictEqual(redactor.redact("first-token second-token"), "[redacted] [redacted]");
});
