/** Workflow directories as pdwatch leaves them in an image. */

import type { Edge } from "../graph.ts";
import { withDirectory } from "./directory.ts";

export interface Sources {
  /** The source of each node, by id. */
  readonly nodes: Record<string, string>;
  readonly edges?: readonly Edge[];
  readonly triggers?: readonly unknown[];
  /** The hosts that every node declares. */
  readonly hosts?: readonly string[];
  readonly config?: { readonly timeoutMs?: number; readonly retries?: number };
  /** More files, by relative path. */
  readonly files?: Record<string, string>;
}

export async function withWorkflow(
  { nodes, edges = [], triggers = [{ type: "manual" }], hosts, config = {}, files = {} }: Sources,
  test: (directory: string) => Promise<void>,
): Promise<void> {
  const ids = Object.keys(nodes);
  const capabilities = hosts === undefined ? null : { net: hosts };
  const node = (id: string): unknown => ({ path: `./nodes/${id}.ts`, config: {}, capabilities });
  const compiled = {
    name: "test",
    version: "1.0",
    description: null,
    triggers,
    nodes: Object.fromEntries(ids.map((id) => [id, node(id)])),
    edges,
    config,
  };
  const sources = Object.fromEntries(ids.map((id) => [`nodes/${id}.ts`, nodes[id]]));
  await withDirectory({ "workflow.json": JSON.stringify(compiled), ...sources, ...files }, test);
}
