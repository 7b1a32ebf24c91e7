/** Finds and imports the nodes' modules. */

import { StartError } from "./errors.ts";
import type { NodeFunction } from "./mod.ts";
import { type Failing, failureOf } from "./permissions.ts";
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
  await Promise.all(Array.from(nodes, async ([id, { path, hosts }]) => {
    try {
      functions.set(id, await importNode(directory, path));
    } catch (error) {
      problems.push(`node ${id}: ${path} ${explain(error, directory, { id, hosts })}`);
    }
  }));
  if (problems.length > 0) throw new StartError(problems.sort().join("\n"));
  return functions;
}

async function importNode(directory: string, path: string): Promise<NodeFunction> {
  const url = new URL(`./${encodePath(path)}`, rootOf(directory));
  if (!await isInside(directory, url)) throw new StartError("is outside the workflow's directory");
  const module = await import(url.href);
  const run = module.default;
  if (typeof run === "function") return run;
  const found = run === undefined ? "has no default export" : `exports a ${typeof run} as default`;
  throw new StartError(
    `${found}; it must be a function: export default async function run(ctx, input)`,
  );
}

/** Both as written, so that nothing outside is even looked at, and with every link followed. */
async function isInside(directory: string, url: URL): Promise<boolean> {
  if (!url.href.startsWith(rootOf(directory))) return false;
  const paths = [directory, decodeURIComponent(url.pathname)];
  const [realDirectory, realFile] = await Promise.all(paths.map(realPath));
  return realFile.startsWith(`${realDirectory}/`);
}

/** The directory as a URL, with a slash at its end. */
function rootOf(directory: string): string {
  return new URL(`file://${encodePath(directory)}/`).href;
}

/** Any sign may be part of a file's name, also those that mean something in a URL. */
function encodePath(path: string): string {
  return encodeURI(path).replace(/[?#]/g, encodeURIComponent);
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
function explain(error: unknown, directory: string, node: Failing): string {
  if (error instanceof StartError) return error.message;
  const root = rootOf(directory);
  const stack = error instanceof Error ? error.stack ?? "" : "";
  const frames = stack.split("\n").filter((line) => line.trimStart().startsWith("at "));
  const place = frames.find((frame) => frame.includes(root)) ?? "";
  // deno-lint-ignore no-control-regex
  const text = `${failureOf(error, node)}\n${place}`.replaceAll(/\x1b\[[0-9;]*m/g, "");
  const lines = new Set(text.replaceAll(root, "").split("\n").map((line) => line.trim()));
  return `does not import: ${[...lines].join(" ").trim()}`;
}
