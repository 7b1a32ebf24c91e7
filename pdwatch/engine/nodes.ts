/** Finds and imports the nodes' modules. */

import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf, StartError } from "./errors.ts";
import type { NodeFunction } from "./mod.ts";
import type { Workflow } from "./workflow.ts";

/**
 * Imports every node of a workflow that lives in `directory`.
 *
 * @throws {StartError} with a line for every node that is outside the directory, does not exist, does not
 * import, or whose default export is not a function.
 */
export async function importNodes(
  directory: string,
  nodes: Workflow["nodes"],
): Promise<Map<string, NodeFunction>> {
  const functions = new Map<string, NodeFunction>();
  const problems: string[] = [];
  await Promise.all(Array.from(nodes, async ([id, { path }]) => {
    try {
      functions.set(id, await importNode(directory, path));
    } catch (error) {
      problems.push(`node ${id}: ${path} ${explain(error, directory)}`);
    }
  }));
  if (problems.length > 0) throw new StartError(problems.sort().join("\n"));
  return functions;
}

async function importNode(directory: string, path: string): Promise<NodeFunction> {
  const file = join(directory, path);
  if (!await isInside(directory, file)) throw new StartError("is outside the workflow's directory");
  const module = await import(pathToFileURL(file).href);
  const run = module.default;
  if (typeof run === "function") return run;
  const found = run === undefined ? "has no default export" : `exports a ${typeof run} as default`;
  throw new StartError(
    `${found}; it must be a function: export default async function run(ctx, input)`,
  );
}

/** Both as written, so that nothing outside is even looked at, and with every link followed. */
async function isInside(directory: string, file: string): Promise<boolean> {
  if (leaves(directory, file)) return false;
  const [realDirectory, realFile] = await Promise.all([directory, file].map(realPath));
  return !leaves(realDirectory, realFile);
}

function leaves(directory: string, file: string): boolean {
  return relative(resolve(directory), resolve(file)).split("/")[0] === "..";
}

async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new StartError("does not exist");
    throw error;
  }
}

/** One line with the place of the fault; paths as the author writes them, no colours. */
function explain(error: unknown, directory: string): string {
  if (error instanceof StartError) return error.message;
  const root = `${pathToFileURL(directory).href}/`;
  const stack = error instanceof Error ? error.stack ?? "" : "";
  const frames = stack.split("\n").filter((line) => line.trimStart().startsWith("at "));
  const place = frames.find((frame) => frame.includes(root)) ?? "";
  // deno-lint-ignore no-control-regex
  const text = `${messageOf(error)}\n${place}`.replaceAll(/\x1b\[[0-9;]*m/g, "");
  const lines = new Set(text.replaceAll(root, "").split("\n").map((line) => line.trim()));
  return `does not import: ${[...lines].join(" ").trim()}`;
}
