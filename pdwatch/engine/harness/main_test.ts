import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { withWorkflow } from "../testing/workflow.ts";
import type { Outcome, Plan, PlannedCase } from "./plan.ts";

const ENGINE = fileURLToPath(new URL("..", import.meta.url));

/** Runs a plan as `pdwatch test` does, and returns the outcomes and the exit code. */
async function harness(plan: Plan): Promise<[outcomes: Outcome[], code: number]> {
  const process = new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--no-lock",
      `--allow-read=${plan.directory},${ENGINE}`,
      `${ENGINE}harness/main.ts`,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  await new Response(JSON.stringify(plan)).body?.pipeTo(process.stdin);
  const { code, stdout } = await process.output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  const marked = lines.filter((line) => line.startsWith(`${plan.mark} `));
  return [marked.map((line) => JSON.parse(line.slice(plan.mark.length + 1))), code];
}

function planned(payload: unknown): PlannedCase {
  return { nodes: ["a"], payload, config: {}, secrets: {}, fetch: [], mocks: {} };
}

Deno.test("each case has a line with its outcome, in order, whatever a node writes", async () => {
  const a = `export default (_ctx, input) => {
    Deno.stdout.writeSync(new TextEncoder().encode("half a line"));
    return input;
  };`;
  await withWorkflow({ nodes: { a } }, async (directory) => {
    const plan = { mark: "mark", directory, cases: [planned("first"), planned("second")] };
    const [outcomes, code] = await harness(plan);
    deepStrictEqual(outcomes.map(({ outputs }) => outputs.a), ["first", "second"]);
    strictEqual(code, 0);
  });
});

Deno.test("it ends although a thread that was ended goes on", async () => {
  const a = "export default () => { for (;;); };";
  const parts = { nodes: { a }, config: { timeoutMs: 1 } };
  await withWorkflow(parts, async (directory) => {
    const [[{ fault }], code] = await harness({ mark: "mark", directory, cases: [planned({})] });
    match(fault ?? "", /^still runs after/);
    strictEqual(code, 0);
  });
});

Deno.test("the network can't be reached, by whatever way", async () => {
  const a = "export default () => Deno.connect({ hostname: '127.0.0.1', port: 1 });";
  await withWorkflow({ nodes: { a } }, async (directory) => {
    const [[{ errors }]] = await harness({ mark: "mark", directory, cases: [planned({})] });
    deepStrictEqual(errors, {
      a: "127.0.0.1:1 can't be reached: tests have no network, only a mocked fetch",
    });
  });
});
