/**
 * What the engine adds to calling the nodes' functions: `deno run overhead.ts` prints a JSON object,
 * `{ [graph]: { direct: ms[], engine: ms[] } }`, with the time of one run in each of many interleaved rounds.
 */

import { systemClock } from "../../pdwatch/engine/clock.ts";
import { createContext } from "../../pdwatch/engine/context.ts";
import { messageOf } from "../../pdwatch/engine/errors.ts";
import { execute, link } from "../../pdwatch/engine/executor.ts";
import { compileGraph, type Edge } from "../../pdwatch/engine/graph.ts";
import { createLogger } from "../../pdwatch/engine/logger.ts";
import type { Context, NodeFunction } from "../../pdwatch/engine/mod.ts";

const ROUNDS = 200;
const RUNS_A_ROUND = 10;

const node: NodeFunction = () => Promise.resolve(null);
const log = createLogger(
  { format: "json", write: () => {}, now: () => new Date(), redact: (text) => text },
  { workflow: "bench" },
);
const environment = {
  clock: systemClock,
  node: () => ({
    clock: systemClock,
    log,
    context: (signal: AbortSignal): Context =>
      createContext({ config: {}, secrets: {}, log, signal }),
    describe: messageOf,
  }),
};

/** Stages of `width` nodes, each of which waits for all of the stage before. */
function layered(count: number, width: number): [string[], Edge[]] {
  const ids = Array.from({ length: count }, (_, index) => `n${index}`);
  const edges = ids.flatMap((to, index) => {
    const stage = Math.floor(index / width);
    const before = stage === 0 ? [] : ids.slice((stage - 1) * width, stage * width);
    return before.map((from) => ({ from, to }));
  });
  return [ids, edges];
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  for (let round = 0; round < RUNS_A_ROUND; round++) await run();
  return (performance.now() - began) / RUNS_A_ROUND;
}

async function measure(
  ids: string[],
  edges: Edge[],
): Promise<{ direct: number[]; engine: number[] }> {
  const graph = compileGraph(ids, edges);
  const functions = new Map(ids.map((id) => [id, node]));
  const program = link(graph, functions, { timeoutMs: 30_000, retries: 0 });
  const context = environment.node().context(new AbortController().signal);
  const direct = async (): Promise<void> => {
    for (const stage of graph.stages) {
      await Promise.all(stage.map((id) => functions.get(id)!(context, null)));
    }
  };
  const engine = async (): Promise<void> => void await execute(program, {}, environment);
  const times = { direct: [] as number[], engine: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    times.direct.push(await timed(direct));
    times.engine.push(await timed(engine));
  }
  return times;
}

console.log(JSON.stringify({
  "1 node": await measure(...layered(1, 1)),
  "50 nodes in 10 stages": await measure(...layered(50, 5)),
  "50 nodes at once": await measure(...layered(50, 50)),
}));
