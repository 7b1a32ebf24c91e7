import { match, rejects, strictEqual } from "node:assert/strict";
import { importNodes } from "./nodes.ts";
import { withDirectory } from "./testing/directory.ts";

type Files = Record<string, string>;

/** Writes `files`, links `links`, and imports `path` as the node `a`. */
async function importing(
  path: string,
  files: Files,
  check: (nodes: ReturnType<typeof importNodes>) => Promise<void>,
  links: Files = {},
): Promise<void> {
  await withDirectory(files, async (directory) => {
    for (const [link, target] of Object.entries(links)) {
      await Deno.symlink(target, `${directory}/${link}`);
    }
    await check(importNodes(`${directory}/flow`, new Map([["a", { path, config: {} }]])));
  });
}

const imported: [string, string, Files, Files?][] = [
  ["a module", "./nodes/a.ts", { "flow/nodes/a.ts": "export default () => 7;" }],
  ["a path without ./", "nodes/a.ts", { "flow/nodes/a.ts": "export default () => 7;" }],
  ["a name that is no URL", "./nodes/a #1%.ts", {
    "flow/nodes/a #1%.ts": "export default () => 7;",
  }],
  ["shared code", "./nodes/a.ts", {
    "flow/nodes/a.ts": 'import { seven } from "../lib/seven.ts"; export default () => seven;',
    "flow/lib/seven.ts": "export const seven: number = 7;",
  }],
  ["JSON", "./nodes/a.ts", {
    "flow/nodes/a.ts":
      'import n from "./n.json" with { type: "json" }; export default () => n.seven;',
    "flow/nodes/n.json": '{"seven": 7}',
  }],
  ["the engine's types, even where it is not said that they are types", "./nodes/a.ts", {
    "flow/nodes/a.ts": 'import { Context } from "pipedreamer"; export default (ctx: Context) => 7;',
  }],
  ["a link that stays inside", "./nodes/a.ts", { "flow/nodes/b.ts": "export default () => 7;" }, {
    "flow/nodes/a.ts": "b.ts",
  }],
];

for (const [name, path, files, links] of imported) {
  Deno.test(`imports ${name}`, () =>
    importing(path, files, async (nodes) => {
      const run = (await nodes).get("a") as unknown as () => number;
      strictEqual(run(), 7);
    }, links));
}

const OUTSIDE = "is outside the workflow's directory";
const MUST_BE = "it must be a function: export default async function run(ctx, input)";

const refused: [string, string, Files, string, Files?][] = [
  ["a path that leads out", "../b.ts", { "b.ts": "", "flow/x": "" }, OUTSIDE],
  ["a path from the root that leads out", "/../../etc/passwd", { "flow/x": "" }, OUTSIDE],
  [
    "an absolute path, since it is one within the directory",
    "/etc/passwd",
    { "flow/x": "" },
    "does not exist",
  ],
  [
    "a URL, since it is a path within the directory",
    "https://h/a.ts",
    { "flow/x": "" },
    "does not exist",
  ],
  ["a link that leads out", "./a.ts", { "b.ts": "", "flow/x": "" }, OUTSIDE, {
    "flow/a.ts": "../b.ts",
  }],
  ["a directory that leads out", "./n/b.ts", { "m/b.ts": "", "flow/x": "" }, OUTSIDE, {
    "flow/n": "../m",
  }],
  [
    "a directory whose name only starts alike",
    "../flow2/b.ts",
    { "flow2/b.ts": "", "flow/x": "" },
    OUTSIDE,
  ],
  ["a file that does not exist", "./a.ts", { "flow/x": "" }, "does not exist"],
  [
    "no default export",
    "./a.ts",
    { "flow/a.ts": "export const b = 1;" },
    `has no default export; ${MUST_BE}`,
  ],
  [
    "a default export that is no function",
    "./a.ts",
    { "flow/a.ts": 'export default "run";' },
    `exports a string as default; ${MUST_BE}`,
  ],
  [
    "an import that does not exist",
    "./a.ts",
    { "flow/a.ts": 'import { b } from "./lib/b.ts"; export default () => b;' },
    'does not import: Module not found "lib/b.ts". at a.ts:1:19',
  ],
  [
    "a module that throws",
    "./a.ts",
    { "flow/a.ts": 'export default () => 7;\nthrow new Error("not today");' },
    "does not import: not today at a.ts:2:7",
  ],
  [
    "a module that reads the environment",
    "./a.ts",
    { "flow/a.ts": 'Deno.env.get("HOME"); export default () => 7;' },
    "does not import: reads environment variable HOME, which is not permitted; " +
    "take settings from ctx.config and credentials from ctx.secrets at a.ts:1:10",
  ],
  [
    "a module that throws a string",
    "./a.ts",
    { "flow/a.ts": 'throw "not today";' },
    'does not import: threw "not today", which is not an Error',
  ],
];

for (const [name, path, files, message, links] of refused) {
  Deno.test(`refuses ${name}`, () =>
    importing(path, files, async (nodes) => {
      await rejects(nodes, { name: "StartError", message: `node a: ${path} ${message}` });
    }, links));
}

Deno.test("a syntax error is said on one line, with its place", () =>
  importing("./a.ts", { "flow/a.ts": "export default (\n  1 +;\n" }, async (nodes) => {
    await rejects(nodes, (error: Error) => {
      match(error.message, /^node a: \.\/a\.ts does not import: SyntaxError: [^\n]* at a\.ts:2:6$/);
      return true;
    });
  }));

Deno.test("every node that can't be imported is named, in order", () =>
  withDirectory({ "ok.ts": "export default () => 7;" }, async (directory) => {
    const nodes = new Map(["c", "ok", "b"].map((id) => [id, { path: `./${id}.ts`, config: {} }]));
    await rejects(importNodes(directory, nodes), {
      message: "node b: ./b.ts does not exist\nnode c: ./c.ts does not exist",
    });
  }));
