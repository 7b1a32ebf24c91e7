import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { systemClock } from "../clock.ts";
import { withWorkflow } from "../testing/workflow.ts";
import { parseWorkflow } from "../workflow.ts";
import { runCase } from "./case.ts";
import type { Answer, Outcome, PlannedCase } from "./plan.ts";

interface Given extends Partial<PlannedCase> {
  readonly sources: Record<string, string>;
  /** An edge is written `"a b"`. */
  readonly edges?: readonly string[];
  readonly retries?: number;
  readonly files?: Record<string, string>;
}

/** Runs a case of a workflow that has these nodes; every node has a time limit of 50 ms. */
async function outcomeOf(
  { sources, edges = [], retries = 0, files = {}, ...given }: Given,
): Promise<Outcome> {
  const outcome = Promise.withResolvers<Outcome>();
  const own = { fetch: globalThis.fetch, console: { ...console } };
  const parts = {
    nodes: sources,
    edges: edges.map((edge) => edge.split(" ")).map(([from, to]) => ({ from, to })),
    config: { timeoutMs: 50, retries },
    files,
  };
  await withWorkflow(parts, async (directory) => {
    const workflow = parseWorkflow(await Deno.readTextFile(`${directory}/workflow.json`));
    const planned = {
      nodes: Object.keys(sources),
      payload: {},
      config: {},
      secrets: {},
      fetch: [],
      mocks: {},
      ...given,
    };
    const clock = { ...systemClock, now: () => new Date(0) };
    const prepare = (globals: { fetch: typeof fetch; console: Partial<Console> }): void => {
      globalThis.fetch = globals.fetch;
      Object.assign(console, globals.console);
    };
    try {
      outcome.resolve(await runCase(planned, { directory, workflow, clock, prepare }));
    } finally {
      globalThis.fetch = own.fetch;
      Object.assign(console, own.console);
    }
  });
  return outcome.promise;
}

function answer(url: string, body: string): Answer {
  return { url, method: null, status: 200, headers: {}, body, error: null, repeat: false };
}

const ECHO = "export default (_ctx, input) => input;";

Deno.test("a node gets the payload, and what it returns comes out as JSON", async () => {
  const a = "export default (_ctx, { n }) => ({ n: n + 1, at: new Date(0), none: undefined });";
  const { outputs, errors, fault } = await outcomeOf({ sources: { a }, payload: { n: 1 } });
  deepStrictEqual(outputs, { a: { n: 2, at: "1970-01-01T00:00:00.000Z" } });
  deepStrictEqual([errors, fault], [{}, null]);
});

Deno.test("a node gets the case's configuration and secrets", async () => {
  const a = "export default ({ config, secrets }) => [config, secrets];";
  const config = { a: { limit: 7 } };
  const secrets = { github: { token: "t0ken" } };
  const { outputs } = await outcomeOf({ sources: { a }, config, secrets });
  deepStrictEqual(outputs, { a: [config.a, secrets] });
});

Deno.test("one node of many runs alone, and no other is even imported", async () => {
  const sources = { a: "throw new Error('imported');", b: ECHO };
  const outcome = await outcomeOf({ sources, edges: ["a b"], nodes: ["b"], payload: "hello" });
  deepStrictEqual([outcome.outputs, outcome.fault], [{ b: "hello" }, null]);
});

Deno.test("a mocked node passes on what the case says, and is not imported", async () => {
  const sources = { a: "throw new Error('imported');", b: ECHO };
  const { outputs } = await outcomeOf({ sources, edges: ["a b"], mocks: { a: [1, 2] } });
  deepStrictEqual(outputs, { a: [1, 2], b: [1, 2] });
});

Deno.test("ctx.fetch and the global one are given the mocked answers", async () => {
  const a = `export default async (ctx) => [
    await (await ctx.fetch("github", "/user")).json(),
    await (await fetch("https://example.com/")).text(),
  ];`;
  const { outputs, used } = await outcomeOf({
    sources: { a },
    fetch: [answer("https://api.github.com/user", '{"id":1}'), answer("https://example.com", "hi")],
  });
  deepStrictEqual(outputs, { a: [{ id: 1 }, "hi"] });
  deepStrictEqual(used, [1, 1]);
});

Deno.test("a request without an answer fails the node, and is told with its secrets masked", async () => {
  const a = "export default (ctx) => ctx.fetch('x', `/user?key=${ctx.secrets.x.key}`);";
  const secrets = { x: { key: "canary-7" } };
  const { errors, unmocked } = await outcomeOf({ sources: { a }, secrets });
  deepStrictEqual(unmocked, [{ method: "GET", url: "https://api.x.com/user?key=[redacted]" }]);
  deepStrictEqual(errors, { a: "no mock answers GET https://api.x.com/user?key=[redacted]" });
});

Deno.test("a node that never returns is timed out as in the engine", async () => {
  const { errors } = await outcomeOf({
    sources: { a: "export default () => new Promise(() => {});" },
  });
  deepStrictEqual(errors, { a: "timed out after 50ms" });
});

Deno.test("a failed node is tried again as often as workflow.yaml says", async () => {
  const a = `let calls = 0;
  export default () => { if (++calls < 3) throw new Error("no"); return calls; };`;
  const { outputs } = await outcomeOf({ sources: { a }, retries: 2 });
  deepStrictEqual(outputs, { a: 3 });
});

Deno.test("what a node returns must be what JSON can hold", async () => {
  const { errors } = await outcomeOf({ sources: { a: "export default () => 1n;" } });
  match(errors.a, /JSON can't hold/);
});

Deno.test("after a failure nothing new starts", async () => {
  const sources = { a: "export default () => { throw new Error('no'); };", b: ECHO };
  const { outputs, errors } = await outcomeOf({ sources, edges: ["a b"] });
  deepStrictEqual([outputs, errors], [{}, { a: "no" }]);
});

Deno.test("what nodes log and write to the console is kept, with its secrets masked", async () => {
  const a = `export default (ctx) => {
    ctx.log.info("token", ctx.secrets.x.key);
    console.log("loose", ctx.secrets.x.key);
    return null;
  };`;
  const { log } = await outcomeOf({ sources: { a }, secrets: { x: { key: "canary-7" } } });
  deepStrictEqual(log, [
    "INFO [a] token [redacted]",
    "INFO loose [redacted]",
  ]);
});

Deno.test("a failed attempt is logged with the place in the workflow's own code", async () => {
  const a = "import { fail } from '../lib/fail.ts';\nexport default () => fail();";
  const fail = "export const fail = () => { throw new Error('no\\nway'); };";
  const { log } = await outcomeOf({ sources: { a }, files: { "lib/fail.ts": fail } });
  strictEqual(log.length, 4);
  deepStrictEqual(log.slice(0, 2), ["ERROR [a] failed: no", "way"]);
  match(log[2], /^ +at fail \(lib\/fail\.ts:1:\d+\)$/);
  match(log[3], /^ +at .*\(nodes\/a\.ts:2:\d+\)$/);
});

Deno.test("of a node that logs without end the newest lines are kept", async () => {
  const a =
    "export default (ctx) => { for (let i = 0; i < 1000; i++) ctx.log.info(`${i}`); return 0; };";
  const { log } = await outcomeOf({ sources: { a } });
  strictEqual(log.length, 200);
  match(log.at(-1) ?? "", /999$/);
});

Deno.test("a node that does not import is a fault of the case, with its secrets masked", async () => {
  const { fault, outputs } = await outcomeOf({
    sources: { a: "throw new Error('canary-7 is not set');" },
    secrets: { x: { key: "canary-7" } },
  });
  match(fault ?? "", /^node a: \.\/nodes\/a\.ts does not import: \[redacted\] is not set/);
  deepStrictEqual(outputs, {});
});
