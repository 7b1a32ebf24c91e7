/** Pure compilation of nodes and edges into stages, by Kahn's algorithm. */

import { StartError } from "./errors.ts";

/** `to` needs the output of `from`. */
export interface Edge {
  readonly from: string;
  readonly to: string;
}

export interface Graph {
  /** Every node as early as its dependencies allow; each stage sorted by id. */
  readonly stages: readonly (readonly string[])[];
  /** For every node the sorted ids of the nodes whose output it needs. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
}

/** `edge` is an index into the edges; `path` starts and ends with the same node. */
export type GraphProblem =
  | {
    readonly kind: "unknown-node";
    readonly edge: number;
    readonly end: keyof Edge;
    readonly node: string;
  }
  | { readonly kind: "self-loop"; readonly edge: number; readonly node: string }
  | { readonly kind: "cycle"; readonly path: readonly string[] };

export class GraphError extends StartError {
  constructor(readonly problems: readonly GraphProblem[]) {
    super(problems.map(describe).join("\n"));
  }
}

/**
 * Compiles a graph; the same nodes and edges in any order give the same result.
 *
 * @throws {GraphError} naming every unknown end and self-loop, and every knot of cycles.
 */
export function compileGraph(nodes: Iterable<string>, edges: readonly Edge[]): Graph {
  const ids = new Set([...nodes].sort());
  const found = edges.map((edge, index) => problemsOf(edge, index, ids));
  const sound = edges.filter((_, index) => found[index].length === 0);
  const dependencies = neighbours(ids, sound, "to", "from");
  const dependents = neighbours(ids, sound, "from", "to");
  const stages = stagesOf(dependencies, dependents);
  const placed = new Set(stages.flat());
  const cycles = cyclesAmong([...ids].filter((id) => !placed.has(id)), dependents);
  const problems = [...found.flat(), ...cycles];
  if (problems.length > 0) throw new GraphError(problems);
  return { stages, dependencies };
}

function problemsOf(edge: Edge, index: number, ids: ReadonlySet<string>): GraphProblem[] {
  const ends = ["from", "to"] as const;
  const unknown = ends.filter((end) => !ids.has(edge[end]));
  if (unknown.length === 0 && edge.from === edge.to) {
    return [{ kind: "self-loop", edge: index, node: edge.from }];
  }
  return unknown.map((end) => ({ kind: "unknown-node", edge: index, end, node: edge[end] }));
}

/** Maps each id to the sorted, distinct ids at the `other` end of the edges whose `end` it is. */
function neighbours(
  ids: Iterable<string>,
  edges: readonly Edge[],
  end: keyof Edge,
  other: keyof Edge,
): Map<string, string[]> {
  const sets = new Map(Array.from(ids, (id) => [id, new Set<string>()]));
  for (const edge of edges) sets.get(edge[end])?.add(edge[other]);
  return new Map(Array.from(sets, ([id, set]) => [id, [...set].sort()]));
}

/** Leaves out the nodes on a cycle and whatever follows them. */
function stagesOf(
  dependencies: ReadonlyMap<string, readonly string[]>,
  dependents: ReadonlyMap<string, readonly string[]>,
): string[][] {
  const missing = new Map(Array.from(dependencies, ([id, needed]) => [id, needed.length]));
  const stages: string[][] = [];
  let ready = [...missing.keys()].filter((id) => missing.get(id) === 0);
  while (ready.length > 0) {
    stages.push(ready);
    const next: string[] = [];
    for (const dependent of ready.flatMap((id) => dependents.get(id) ?? [])) {
      const left = (missing.get(dependent) ?? 0) - 1;
      missing.set(dependent, left);
      if (left === 0) next.push(dependent);
    }
    ready = next.sort();
  }
  return stages;
}

/** For each node that is on no cycle named so far, the shortest cycle through it. */
function cyclesAmong(
  ids: readonly string[],
  dependents: ReadonlyMap<string, readonly string[]>,
): GraphProblem[] {
  const named = new Set<string>();
  const cycles: GraphProblem[] = [];
  for (const id of ids) {
    const path = named.has(id) ? undefined : shortestCycle(id, dependents);
    if (path === undefined) continue;
    path.forEach((node) => named.add(node));
    cycles.push({ kind: "cycle", path });
  }
  return cycles;
}

/** Breadth first, neighbours in order: of the shortest cycles the alphabetically first. */
function shortestCycle(
  start: string,
  dependents: ReadonlyMap<string, readonly string[]>,
): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const id of queue) {
    for (const next of dependents.get(id) ?? []) {
      if (next === start) return [...pathTo(id, cameFrom), start];
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, id);
      queue.push(next);
    }
  }
  return undefined;
}

function pathTo(id: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const path = [id];
  for (let at = cameFrom.get(id); at !== undefined; at = cameFrom.get(at)) path.unshift(at);
  return path;
}

function describe(problem: GraphProblem): string {
  switch (problem.kind) {
    case "unknown-node":
      return `edges[${problem.edge}].${problem.end}: there is no node ${problem.node}`;
    case "self-loop":
      return `edges[${problem.edge}]: ${problem.node} depends on itself`;
    case "cycle":
      return `edges: nodes wait for one another: ${problem.path.join(" → ")}`;
  }
}
