import { deepStrictEqual, throws } from "node:assert/strict";
import { parseWorkflow } from "./workflow.ts";

const COMPILED = {
  name: "github-digest",
  version: "1.10",
  description: null,
  triggers: [
    { type: "manual" },
    { type: "cron", schedule: "0 9 * * *" },
    { type: "webhook", path: "/hooks/github" },
  ],
  nodes: {
    fetch: {
      path: "./nodes/fetch.ts",
      config: { limit: 5 },
      capabilities: { net: ["api.github.com"] },
    },
    send: { path: "./nodes/send.ts", capabilities: null },
  },
  edges: [{ from: "fetch", to: "send" }],
  config: { timeoutMs: 500, retries: 2 },
};

Deno.test("a compiled workflow is read as it was written", () => {
  deepStrictEqual(parseWorkflow(JSON.stringify(COMPILED)), {
    name: "github-digest",
    version: "1.10",
    triggers: COMPILED.triggers,
    nodes: new Map([
      ["fetch", { path: "./nodes/fetch.ts", config: { limit: 5 }, hosts: ["api.github.com"] }],
      ["send", { path: "./nodes/send.ts", config: {} }],
    ]),
    edges: COMPILED.edges,
    timeoutMs: 500,
    retries: 2,
  });
});

Deno.test("without config the time limit is 30 s and nothing is tried again", () => {
  const { timeoutMs, retries } = parseWorkflow(JSON.stringify({ ...COMPILED, config: undefined }));
  deepStrictEqual({ timeoutMs, retries }, { timeoutMs: 30_000, retries: 0 });
});

const wrong: [string, unknown, string][] = [
  ["not an object", [], "the workflow must be an object"],
  ["no name", { ...COMPILED, name: undefined }, "name must be a string, and not empty"],
  ["an empty version", { ...COMPILED, version: "" }, "version must be a string, and not empty"],
  ["no triggers", { ...COMPILED, triggers: undefined }, "triggers must be a list"],
  [
    "an unknown trigger",
    { ...COMPILED, triggers: [{ type: "queue" }] },
    "triggers[0].type must be manual, cron or webhook",
  ],
  [
    "a cron trigger without a schedule",
    { ...COMPILED, triggers: [{ type: "cron" }] },
    "triggers[0].schedule must be a string, and not empty",
  ],
  [
    "a node without a path",
    { ...COMPILED, nodes: { a: {} } },
    "nodes.a.path must be a string, and not empty",
  ],
  [
    "a node's config that is a list",
    { ...COMPILED, nodes: { a: { path: "./a.ts", config: [] } } },
    "nodes.a.config must be an object",
  ],
  [
    "a host that is none",
    { ...COMPILED, nodes: { a: { path: "./a.ts", capabilities: { net: ["h", 7] } } } },
    "nodes.a.capabilities.net[1] must be a string, and not empty",
  ],
  [
    "an edge without an end",
    { ...COMPILED, edges: [{ from: "fetch" }] },
    "edges[0].to must be a string, and not empty",
  ],
  [
    "a time limit of nothing",
    { ...COMPILED, config: { timeoutMs: 0 } },
    "config.timeoutMs must be a whole number, at least 1",
  ],
  [
    "half a retry",
    { ...COMPILED, config: { retries: 0.5 } },
    "config.retries must be a whole number, at least 0",
  ],
];

for (const [name, compiled, message] of wrong) {
  Deno.test(`refused: ${name}`, () => {
    throws(() => parseWorkflow(JSON.stringify(compiled)), { name: "StartError", message });
  });
}

Deno.test("what is not JSON is said to be so, without its content", () => {
  throws(() => parseWorkflow("{secret"), { name: "StartError", message: "not valid JSON" });
});
