/** What a run needs, for tests: a virtual clock and what was logged. */

import type { Limits, NodeEnvironment } from "../attempt.ts";
import { createContext } from "../context.ts";
import { messageOf } from "../errors.ts";
import { link, type Program, type RunEnvironment } from "../executor.ts";
import { createLogger } from "../logger.ts";
import type { NodeFunction } from "../mod.ts";
import { compileGraph, type Edge } from "../graph.ts";
import { VirtualClock } from "./virtual_clock.ts";

export class TestEnvironment implements RunEnvironment {
  readonly clock = new VirtualClock();
  readonly lines: { level: string; node?: string; message: string; args?: unknown[] }[] = [];

  node(id: string): NodeEnvironment {
    const log = createLogger({
      format: "json",
      write: (line) => this.lines.push(JSON.parse(line)),
      now: () => this.clock.now(),
      redact: (text) => this.redact(text),
    }, { workflow: "test", node: id });
    return {
      clock: this.clock,
      log,
      context: (signal) => createContext({ config: {}, secrets: {}, log, signal }),
      describe: (thrown) => this.redact(messageOf(thrown)),
    };
  }

  redact(text: string): string {
    return text.replaceAll("s3cret", "[redacted]");
  }
}

/** A program of the given functions; an edge is written `"a b"`. */
export function programOf(
  functions: Record<string, NodeFunction>,
  edges: readonly string[] = [],
  limits: Partial<Limits> = {},
): Program {
  const graph = compileGraph(Object.keys(functions), edges.map(edgeOf));
  return link(graph, new Map(Object.entries(functions)), {
    timeoutMs: 30_000,
    retries: 0,
    ...limits,
  });
}

function edgeOf(edge: string): Edge {
  const [from, to] = edge.split(" ");
  return { from, to };
}
