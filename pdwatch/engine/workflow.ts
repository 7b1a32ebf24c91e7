/** Reads and checks `workflow.json`, the form into which pdwatch compiles `workflow.yaml`. */

import { StartError } from "./errors.ts";
import type { Edge } from "./graph.ts";

export type Trigger =
  | { readonly type: "manual" }
  | { readonly type: "cron"; readonly schedule: string }
  | { readonly type: "webhook"; readonly path: string };

export interface NodeSpec {
  /** Relative to the workflow's directory, as the author wrote it. */
  readonly path: string;
  readonly config: Record<string, unknown>;
  /** The hosts that it talks to; absent when workflow.yaml declares none. */
  readonly hosts?: readonly string[];
}

export interface Workflow {
  readonly name: string;
  readonly version: string;
  readonly triggers: readonly Trigger[];
  readonly nodes: ReadonlyMap<string, NodeSpec>;
  readonly edges: readonly Edge[];
  /** The time limit of one attempt of a node, in milliseconds. */
  readonly timeoutMs: number;
  /** How often a failed node is tried again. */
  readonly retries: number;
}

/**
 * Parses the compiled workflow. Keys that the engine does not use are ignored.
 *
 * @throws {StartError} for the first thing that is not as it should be, saying where.
 */
export function parseWorkflow(json: string): Workflow {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw new StartError("not valid JSON");
  }
  const root = object(parsed, "the workflow");
  const config = object(root.config ?? {}, "config");
  return {
    name: text(root.name, "name"),
    version: text(root.version, "version"),
    triggers: list(root.triggers, "triggers").map(trigger),
    nodes: new Map(
      Object.entries(object(root.nodes, "nodes")).map(([id, value]) => [id, node(id, value)]),
    ),
    edges: list(root.edges, "edges").map(edge),
    timeoutMs: atLeast(1, config.timeoutMs ?? 30_000, "config.timeoutMs"),
    retries: atLeast(0, config.retries ?? 0, "config.retries"),
  };
}

function trigger(value: unknown, index: number): Trigger {
  const at = `triggers[${index}]`;
  const { type, schedule, path } = object(value, at);
  switch (type) {
    case "manual":
      return { type };
    case "cron":
      return { type, schedule: text(schedule, `${at}.schedule`) };
    case "webhook":
      return { type, path: text(path, `${at}.path`) };
    default:
      throw new StartError(`${at}.type must be manual, cron or webhook`);
  }
}

function node(id: string, value: unknown): NodeSpec {
  const at = `nodes.${id}`;
  const { path, config, capabilities } = object(value, at);
  const { net } = object(capabilities ?? {}, `${at}.capabilities`);
  return {
    path: text(path, `${at}.path`),
    config: object(config ?? {}, `${at}.config`),
    ...(net === undefined ? {} : { hosts: hosts(net, `${at}.capabilities.net`) }),
  };
}

function hosts(value: unknown, at: string): string[] {
  return list(value, at).map((host, index) => text(host, `${at}[${index}]`));
}

function edge(value: unknown, index: number): Edge {
  const { from, to } = object(value, `edges[${index}]`);
  return { from: text(from, `edges[${index}].from`), to: text(to, `edges[${index}].to`) };
}

function object(value: unknown, at: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new StartError(`${at} must be an object`);
}

function list(value: unknown, at: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new StartError(`${at} must be a list`);
}

function text(value: unknown, at: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new StartError(`${at} must be a string, and not empty`);
}

function atLeast(least: number, value: unknown, at: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw new StartError(`${at} must be a whole number, at least ${least}`);
}
