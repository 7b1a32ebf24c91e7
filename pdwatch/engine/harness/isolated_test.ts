import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { withWorkflow } from "../testing/workflow.ts";
import { runIsolated } from "./isolated.ts";
import type { Outcome } from "./plan.ts";

/** Runs the node `a` of this source with the inputs 1 and 2, in this order. */
async function outcomesOf(
  source: string,
  grace: Readonly<Record<number, number>> = {},
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const parts = { nodes: { a: source }, config: { timeoutMs: 100 } };
  await withWorkflow(parts, async (directory) => {
    const workflow = await Deno.readTextFile(`${directory}/workflow.json`);
    for (const payload of [1, 2]) {
      const planned = {
        nodes: ["a"],
        payload,
        config: {},
        secrets: {},
        fetch: [],
        mocks: {},
      };
      outcomes.push(
        await runIsolated({ directory, workflow, planned }, { graceMs: grace[payload] }),
      );
    }
  });
  return outcomes;
}

Deno.test("cases share neither modules nor globals", async () => {
  const outcomes = await outcomesOf(`let calls = 0;
    export default (_ctx, input) => {
      globalThis.left = (globalThis.left ?? 0) + 1;
      return [input, ++calls, globalThis.left];
    };`);
  deepStrictEqual(outcomes.map(({ fault }) => fault), [null, null]);
  deepStrictEqual(outcomes.map(({ outputs }) => outputs.a), [[1, 1, 1], [2, 1, 1]]);
});

for (const end of ["Deno.exit(7)", "close()", "self.close()"]) {
  Deno.test(`a node can't end the harness by ${end}`, async () => {
    const [{ errors }] = await outcomesOf(`export default () => ${end};`);
    match(errors.a, /can't end the engine/);
  });
}

Deno.test("a promise that is rejected and not waited for is logged", async () => {
  const [{ outputs, log }] = await outcomesOf(`export default async () => {
    Promise.reject(new Error("lost"));
    await new Promise((resolve) => setTimeout(resolve, 10));
    return 1;
  };`);
  deepStrictEqual(outputs, { a: 1 });
  match(log.join("\n"), /nothing waits for.*lost/);
});

Deno.test("a loop that never awaits is ended, and the next case runs", async () => {
  const [first, second] = await outcomesOf(
    "export default (_ctx, input) => { while (input === 1); return input; };",
    { 1: 0 },
  );
  match(first.fault ?? "", /^still runs after 100ms; a loop that never awaits/);
  deepStrictEqual([second.fault, second.outputs], [null, { a: 2 }]);
});

Deno.test("an answer whose URL can't be read is a fault of its case", async () => {
  const workflow = JSON.stringify({
    name: "a",
    version: "1.0",
    triggers: [],
    nodes: {},
    edges: [],
  });
  const answer = {
    url: "https://[",
    method: null,
    status: 200,
    headers: {},
    body: "",
    error: null,
    repeat: false,
  };
  const planned = { nodes: [], payload: {}, config: {}, secrets: {}, fetch: [answer], mocks: {} };
  const { fault } = await runIsolated({ directory: "/tmp", workflow, planned });
  match(fault ?? "", /fetch: https:\/\/\[ is not a URL$/);
});

Deno.test("a thread that breaks down is a fault of its case", async () => {
  const parts = { nodes: { a: "export default () => 1;" } };
  await withWorkflow(parts, async (directory) => {
    const workflow = await Deno.readTextFile(`${directory}/workflow.json`);
    const planned = { nodes: ["b"], payload: {}, config: {}, secrets: {}, fetch: [], mocks: {} };
    const { fault } = await runIsolated({ directory, workflow, planned });
    strictEqual(fault, "no function for node b");
  });
});
