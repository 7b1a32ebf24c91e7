/** Walks the graph: what runs when, and what comes of it. */

import {
  type Limits,
  type NodeEnvironment,
  type NodeTiming,
  type Outcome,
  runNode,
} from "./attempt.ts";
import { type Clock, since, timeoutError } from "./clock.ts";
import type { Graph } from "./graph.ts";
import type { NodeFunction } from "./mod.ts";

/** A workflow, ready to be run any number of times: its graph's stages, with the functions in place. */
export interface Program extends Limits {
  readonly stages: readonly (readonly Step[])[];
}

export interface Step {
  readonly id: string;
  readonly dependencies: readonly string[];
  readonly run: NodeFunction;
}

/** `outputs`, `errors` and `nodeTimings` are keyed by node id, in the order of the stages. */
export interface RunResult {
  readonly success: boolean;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly errors: Readonly<Record<string, string>>;
  readonly timing: {
    readonly startedAt: string;
    readonly completedAt: string;
    readonly durationMs: number;
    /** Of every node that ran. */
    readonly nodeTimings: Readonly<Record<string, NodeTiming>>;
  };
}

export interface RunEnvironment {
  readonly clock: Clock;
  /** What the attempts of a node need. */
  node(id: string): NodeEnvironment;
}

/** Puts the nodes' functions into a graph; there must be one for every node. */
export function link(
  graph: Graph,
  functions: ReadonlyMap<string, NodeFunction>,
  { timeoutMs, retries }: Limits,
): Program {
  const stepOf = (id: string): Step => {
    const run = functions.get(id);
    if (run === undefined) throw new TypeError(`no function for node ${id}`);
    return { id, run, dependencies: graph.dependencies.get(id) ?? [] };
  };
  return { stages: graph.stages.map((ids) => ids.map(stepOf)), timeoutMs, retries };
}

/**
 * Runs a program once; never rejects.
 *
 * A node starts as soon as its dependencies have succeeded, yet the result is what running one stage
 * after another gives: once a node has failed, no node of a later stage starts, its own stage runs to the
 * end, and outputs and errors of later stages that were already under way are left out. After `timeoutMs`,
 * if given, the nodes that still run fail, and since every other one waits for one of these, none starts.
 */
export async function execute(
  program: Program,
  payload: unknown,
  environment: RunEnvironment,
  timeoutMs?: number,
): Promise<RunResult> {
  const { clock } = environment;
  const startedAt = clock.now().toISOString();
  const began = clock.elapsed();
  const source = JSON.stringify(payload);
  const outcomes = new Map<string, Outcome>();
  const settled = new Map<string, Promise<void>>();
  let lastStage = program.stages.length - 1;
  const timeIsUp = new AbortController();
  const cancel = timeoutMs === undefined ? undefined : clock.after(timeoutMs, () => {
    timeIsUp.abort(timeoutError("the run timed out", timeoutMs));
  });

  const start = async ({ id, run, dependencies }: Step, stage: number): Promise<void> => {
    await Promise.all(dependencies.map((dependency) => settled.get(dependency)));
    const outputs = dependencies.flatMap((dependency) => outcomes.get(dependency)?.output ?? []);
    if (stage > lastStage || outputs.length < dependencies.length) return;
    const input = inputOf(dependencies, outputs, source);
    const outcome = await runNode(run, input, program, environment.node(id), timeIsUp.signal);
    outcomes.set(id, outcome);
    if (outcome.error !== undefined) lastStage = Math.min(lastStage, stage);
  };
  for (const [stage, steps] of program.stages.entries()) {
    for (const step of steps) settled.set(step.id, start(step, stage));
  }
  await Promise.all(settled.values());
  cancel?.();

  const kept = program.stages.slice(0, lastStage + 1);
  const errors = collect(kept, outcomes, ({ error }) => error);
  return {
    success: Object.keys(errors).length === 0,
    outputs: collect(kept, outcomes, ({ output }) => output && JSON.parse(output)),
    errors,
    timing: {
      startedAt,
      completedAt: clock.now().toISOString(),
      durationMs: since(clock, began),
      nodeTimings: collect(program.stages, outcomes, ({ timing }) => timing),
    },
  };
}

/** JSON text: the trigger's payload, the one dependency's output, or an object keyed by node id. */
function inputOf(ids: readonly string[], outputs: readonly string[], payload: string): string {
  if (ids.length === 0) return payload;
  if (ids.length === 1) return outputs[0];
  return `{${ids.map((id, index) => `${JSON.stringify(id)}:${outputs[index]}`).join()}}`;
}

/** Keyed by node id, in the order of the stages; leaves out what is undefined. */
function collect<T>(
  stages: Program["stages"],
  outcomes: ReadonlyMap<string, Outcome>,
  select: (outcome: Outcome) => T | undefined,
): Record<string, T> {
  const entries: [string, T][] = [];
  for (const { id } of stages.flat()) {
    const outcome = outcomes.get(id);
    const value = outcome === undefined ? undefined : select(outcome);
    if (value !== undefined) entries.push([id, value]);
  }
  return Object.fromEntries(entries);
}
