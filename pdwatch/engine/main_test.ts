import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { Engine, freePort, Gate, spawnEngine } from "./testing/engine.ts";
import { type Sources, withWorkflow } from "./testing/workflow.ts";

/** A node that waits for an answer from the URL it is given. */
const WAITS = `
  import type { Context } from "pipedreamer";
  export default async function run(_ctx: Context, input: { url: string }): Promise<string> {
    return await (await fetch(input.url)).text();
  }`;

function post(payload: unknown): RequestInit {
  return {
    method: "POST",
    body: JSON.stringify(payload),
    headers: { "Content-Type": "application/json" },
  };
}

/** Runs an engine that is expected to stop by itself. */
async function outcomeOf(directory: string, ...args: string[]): Promise<[number, string]> {
  const process = await spawnEngine(directory, args);
  const { code, stdout, stderr } = await process.output();
  strictEqual(new TextDecoder().decode(stdout), "");
  return [code, new TextDecoder().decode(stderr).replaceAll(directory, "DIR")];
}

Deno.test("a workflow runs: shared code, config's limits, retries, webhook and health", () =>
  withWorkflow({
    nodes: {
      double: `
        import { Context } from "pipedreamer";
        import { twice } from "../lib/twice.ts";
        let calls = 0;
        export default function run(ctx: Context, input: { n?: number; body?: { n: number } }): number {
          if (++calls === 1) throw new Error("not at once");
          ctx.log.info("doubling", input);
          return twice(input.n ?? input.body?.n ?? 0);
        }`,
      say: "export default (_ctx: unknown, input: number) => Promise.resolve(`it is ${input}`);",
    },
    edges: [{ from: "double", to: "say" }],
    triggers: [{ type: "webhook", path: "/hooks/n" }],
    config: { retries: 1 },
    files: {
      "lib/twice.ts": "export const twice = (n: number): number => 2 * n;",
      ".source-digest": "sha256:abc\n",
    },
  }, async (directory) => {
    await using engine = await Engine.start(directory);
    deepStrictEqual(await engine.ask("/health"), [200, {
      status: "ok",
      workflow: "test",
      version: "1.0",
      sourceDigest: "sha256:abc",
    }]);
    const [status, { outputs, timing }] = await engine.ask("/run", post({ n: 4 }));
    deepStrictEqual([status, outputs], [200, { double: 8, say: "it is 8" }]);
    strictEqual(timing.nodeTimings.double.attemptsMs.length, 2);
    deepStrictEqual((await engine.logged("doubling")).args, [{ n: 4 }]);
    const [, { outputs: fromWebhook }] = await engine.ask("/hooks/n", post({ n: 5 }));
    strictEqual(fromWebhook.say, "it is 10");
    engine.signal("SIGTERM");
    deepStrictEqual(await engine.stopped(), { code: 0, stderr: "" });
  }));

Deno.test("who asks while nodes are still being imported is answered once they are", async () => {
  await using gate = new Gate();
  const slow = `await fetch("${gate.url}"); export default () => 1;`;
  await withWorkflow({ nodes: { slow } }, async (directory) => {
    const port = freePort();
    const starting = Engine.start(directory, "--port", port);
    await gate.arrived();
    const asked = fetch(`http://127.0.0.1:${port}/health`).then((health) => health.json(), String);
    gate.open();
    await using _engine = await starting;
    strictEqual((await asked).status, "ok");
  });
});

Deno.test("SIGTERM: the run in flight finishes, no other starts, and the engine exits with 0", () =>
  withWorkflow({ nodes: { wait: WAITS } }, async (directory) => {
    await using gate = new Gate();
    await using engine = await Engine.start(directory);
    const inFlight = engine.ask("/run", post({ url: gate.url }));
    await gate.arrived();
    engine.signal("SIGTERM");
    deepStrictEqual((await engine.logged("stopping")).args, [
      { signal: "SIGTERM", runsInFlight: 1, graceMs: 25_000 },
    ]);
    deepStrictEqual(await engine.ask("/ready"), [503, { status: "draining" }]);
    deepStrictEqual(await engine.ask("/run"), [503, { error: "the engine is stopping" }]);
    gate.open();
    const [status, { outputs }] = await inFlight;
    deepStrictEqual([status, outputs], [200, { wait: "go" }]);
    strictEqual((await engine.stopped()).code, 0);
  }));

Deno.test("a run that outlives the grace period is cut off, and the exit code says so", () =>
  withWorkflow({ nodes: { wait: WAITS } }, async (directory) => {
    await using gate = new Gate();
    await using engine = await Engine.start(directory, "--grace", "0");
    const inFlight = engine.ask("/run", post({ url: gate.url })).catch(() => "cut off");
    await gate.arrived();
    engine.signal("SIGINT");
    deepStrictEqual((await engine.logged("stopped, runs cut off")).args, [
      { reason: "the grace period ended", runsInFlight: 1 },
    ]);
    strictEqual((await engine.stopped()).code, 3);
    strictEqual(await inFlight, "cut off");
  }));

Deno.test("a second signal does not wait for the run in flight", () =>
  withWorkflow({ nodes: { wait: WAITS } }, async (directory) => {
    await using gate = new Gate();
    await using engine = await Engine.start(directory);
    const inFlight = engine.ask("/run", post({ url: gate.url })).catch(() => "cut off");
    await gate.arrived();
    engine.signal("SIGINT");
    await engine.logged("stopping");
    engine.signal("SIGTERM");
    deepStrictEqual((await engine.logged("stopped, runs cut off")).args, [
      { reason: "SIGTERM came while runs were in flight", runsInFlight: 1 },
    ]);
    strictEqual((await engine.stopped()).code, 3);
    strictEqual(await inFlight, "cut off");
  }));

Deno.test("a node that misbehaves leaves an error under its id and the engine alive", () =>
  withWorkflow({
    nodes: {
      closes: "export default () => close();",
      exits: 'import process from "node:process"; export default () => process.exit(7);',
      ends: "export default () => Deno.exit(7);",
      forgets: `export default () => {
        Promise.reject(new Error("nobody waits for me"));
        setTimeout(() => { throw new Error("nor for me"); });
        return Promise.resolve(null);
      }`,
      hangs: "export default () => new Promise(() => {});",
      late: `export default (ctx: { signal: AbortSignal }) =>
        new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(new Error("late"))));`,
      responds: 'export default () => Promise.resolve(new Response("x"));',
      throws: "export default () => { throw 7; };",
    },
    config: { timeoutMs: 50 },
  }, async (directory) => {
    await using engine = await Engine.start(directory);
    const [status, { errors, outputs }] = await engine.ask("/run");
    deepStrictEqual([status, outputs], [500, { forgets: null }]);
    const exits = "a node can't end the engine; return, or throw an error";
    deepStrictEqual(errors, {
      closes: exits,
      ends: exits,
      exits,
      hangs: "timed out after 50ms",
      late: "timed out after 50ms",
      responds: "returned what JSON can't hold: the result is of type Response",
      throws: "threw 7, which is not an Error",
    });
    strictEqual((await engine.ask("/health"))[0], 200);
    engine.signal("SIGTERM");
    strictEqual((await engine.stopped()).code, 0);
  }));

Deno.test("a node that oversteps its permissions fails with what to do instead", () =>
  withWorkflow({
    nodes: {
      connect: 'export default () => Deno.connect({ hostname: "db", port: 5432 });',
      env: 'export default () => Deno.env.get("HOME");',
      ffi: 'export default () => Deno.dlopen("libc.so.6", {});',
      go:
        "export default (_ctx, { urls }) => fetch(urls.declared).then((answer) => answer.text());",
      http: `import http from "node:http";
        export default () => new Promise((_, reject) => http.get("http://h.example").on("error", reject));`,
      read: 'export default () => Deno.readTextFile("/etc/passwd");',
      redirect: "export default (ctx, { urls }) => ctx.fetch('any', urls.redirect);",
      run: 'export default () => new Deno.Command("true").output();',
      service: 'export default (ctx) => ctx.fetch("github", "/repos");',
      sys: "export default () => Deno.hostname();",
      wraps: `export default () => fetch("https://other.example").catch((cause) => {
        throw new Error("no luck", { cause });
      });`,
      write: 'export default () => Deno.writeTextFile("/app/x", "");',
    },
    hosts: ["declared.example"],
  }, async (directory) => {
    await using gate = new Gate();
    gate.open();
    await using elsewhere = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => Response.redirect("http://elsewhere.example:81/"),
    );
    const here = `127.0.0.1:${elsewhere.addr.port}`;
    await using engine = await Engine.startNarrowed(directory, new URL(gate.url).host, here);
    const urls = { declared: gate.url, redirect: `http://${here}/` };
    const [, { errors, outputs }] = await engine.ask("/run", post({ urls }));
    deepStrictEqual(outputs, { go: "go" });
    const host = (node: string, name: string): string =>
      `${name} is not a declared host; ` +
      `in workflow.yaml set nodes.${node}.capabilities.net: ["declared.example", "${name}"]`;
    deepStrictEqual(errors, {
      connect: host("connect", "db:5432"),
      env: "reads environment variable HOME, which is not permitted; " +
        "take settings from ctx.config and credentials from ctx.secrets",
      ffi: "loads the native library libc.so.6, which is not permitted; " +
        "use a package without native code",
      http: host("http", "h.example"),
      read: "reads /etc/passwd, which is not permitted; " +
        "only files below /app can be read: list them under config.include in workflow.yaml",
      redirect: host("redirect", "elsewhere.example:81"),
      run: "starts the program true, which is not permitted; " +
        "the image holds no other program, so do it in TypeScript or ask a service for it",
      service: host("service", "api.github.com"),
      sys:
        "asks the system for hostname, which is not permitted; take what you need from ctx.config",
      wraps: `no luck: ${host("wraps", "other.example")}`,
      write: "writes /app/x, which is not permitted; " +
        "only below /tmp can files be written, and they last as long as the pod",
    });
  }));

Deno.test("what nodes write to the console is a log line like any other, without secrets", () =>
  withWorkflow({
    nodes: {
      tell: `console.log("imported");
        export default (ctx) => {
          console.table([ctx.secrets.github]);
          console.error("token is %s", ctx.secrets.github.token);
          return Promise.resolve(null);
        };`,
    },
    files: { ".secrets/github": '{"token": "canary-1"}' },
  }, async (directory) => {
    await using engine = await Engine.start(directory);
    await engine.ask("/run");
    strictEqual((await engine.logged('[{"token":"[redacted]"}]')).level, "info");
    const { level, workflow, args } = await engine.logged("token is %s");
    deepStrictEqual([level, workflow, args], ["error", "test", ["[redacted]"]]);
    engine.signal("SIGTERM");
    strictEqual((await engine.stopped()).stderr, "");
  }));

Deno.test("over a socket: request ids, HEAD, time limits, and bodies that are too large", () =>
  withWorkflow(
    { nodes: { hang: "export default () => new Promise(() => {});" } },
    async (directory) => {
      await using engine = await Engine.start(directory);
      const health = await engine.fetch("/health", { method: "HEAD" });
      deepStrictEqual([health.status, await health.text()], [200, ""]);
      match(health.headers.get("X-Request-Id") ?? "", /^[0-9a-f-]{36}$/);

      const headers = { "X-Request-Id": "mine" };
      const [status, { errors }] = await engine.ask("/run?timeout=20ms", { headers });
      deepStrictEqual([status, errors], [500, { hang: "the run timed out after 20ms" }]);
      strictEqual((await engine.logged("run failed")).requestId, "mine");

      const large = "x".repeat(8 * 1024 * 1024 + 1);
      const refused = [413, { error: "the body is larger than 8388608 bytes" }];
      for (const body of [large, new Blob([large]).stream()]) {
        deepStrictEqual(await engine.ask("/run", { method: "POST", body }), refused);
      }
    },
  ));

Deno.test("secrets reach nodes but not the log, and a rotated one counts for the next run", () =>
  withWorkflow({
    nodes: {
      tell: `export default (ctx) => {
        ctx.log.info("token", ctx.secrets.github);
        return Promise.resolve(ctx.secrets.github.token.length);
      };`,
    },
    files: {
      "secrets/..1/github": '{"token": "canary-1"}',
      "secrets/..2/github": '{"token": "canary-22"}',
    },
  }, async (directory) => {
    const secrets = `${directory}/secrets`;
    await Deno.symlink("..1", `${secrets}/..data`);
    await Deno.symlink("..data/github", `${secrets}/github`);
    await using engine = await Engine.start(directory, "--secrets", secrets);
    strictEqual((await engine.ask("/run"))[1].outputs.tell, 8);
    deepStrictEqual((await engine.logged("token")).args, [{ token: "[redacted]" }]);
    await Deno.symlink("..2", `${secrets}/..new`);
    await Deno.rename(`${secrets}/..new`, `${secrets}/..data`);
    strictEqual((await engine.ask("/run"))[1].outputs.tell, 9);
    deepStrictEqual((await engine.logged("token")).args, [{ token: "[redacted]" }]);
  }));

const GOOD = { good: "export default () => Promise.resolve(1);" };
const WORKFLOW = ["--workflow", "WORKFLOW"];

const refusals: [string, Sources, string[], number, string][] = [
  ["no --workflow", { nodes: GOOD }, [], 2, "--workflow is missing"],
  ["an unknown argument", { nodes: GOOD }, ["--watch"], 2, "unknown argument --watch"],
  ["a flag without its value", { nodes: GOOD }, ["--port"], 2, "--port needs a value"],
  [
    "a port that is none",
    { nodes: GOOD },
    [...WORKFLOW, "--port", "http"],
    2,
    "--port must be a whole number from 0 to 65535, not http",
  ],
  [
    "a workflow that is not there",
    { nodes: GOOD },
    ["--workflow", "DIR/nowhere/workflow.yaml"],
    1,
    "DIR/nowhere/workflow.json: No such file or directory (os error 2): " +
    "readfile 'DIR/nowhere/workflow.json'; pdwatch compiles it from workflow.yaml",
  ],
  [
    "a workflow that is not as it should be",
    { nodes: GOOD, triggers: [{}] },
    WORKFLOW,
    1,
    "DIR/workflow.json: triggers[0].type must be manual, cron or webhook",
  ],
  [
    "a cycle",
    {
      nodes: { a: GOOD.good, b: GOOD.good },
      edges: [{ from: "a", to: "b" }, { from: "b", to: "a" }],
    },
    WORKFLOW,
    1,
    "edges: nodes wait for one another: a → b → a",
  ],
  [
    "nodes that do not import",
    { nodes: { ...GOOD, bad: "export default 7;", worse: 'throw new Error("no");' } },
    WORKFLOW,
    1,
    "node bad: ./nodes/bad.ts exports a number as default; it must be a function: " +
    "export default async function run(ctx, input)\n" +
    "pdwatch-engine: node worse: ./nodes/worse.ts does not import: no at nodes/worse.ts:1:7",
  ],
  [
    "a node whose complaint holds a secret",
    {
      nodes: { a: 'throw new Error("canary-1 is no good");' },
      files: { ".secrets/github": '{"token": "canary-1"}' },
    },
    WORKFLOW,
    1,
    "node a: ./nodes/a.ts does not import: [redacted] is no good at nodes/a.ts:1:7",
  ],
  [
    "a package that is not in the image",
    { nodes: { a: 'import "npm:left-pad@1"; export default () => 1;' } },
    WORKFLOW,
    1,
    "node a: ./nodes/a.ts does not import: Failed loading URL for package " +
    '"left-pad" 0: npm package not found in cache: "left-pad", --cached-only is specified. at nodes/a.ts:1:8',
  ],
  [
    "a cron schedule that is none",
    { nodes: GOOD, triggers: [{ type: "cron", schedule: "daily" }] },
    WORKFLOW,
    1,
    'triggers[0].schedule: "daily" is not a cron schedule',
  ],
];

for (const [name, sources, args, code, message] of refusals) {
  Deno.test(`does not start with ${name}, and says so`, () =>
    withWorkflow(sources, async (directory) => {
      const placed = args.map((arg) =>
        arg.replace("WORKFLOW", "DIR/workflow.yaml").replace("DIR", directory)
      );
      const [exited, stderr] = await outcomeOf(directory, ...placed);
      const told = stderr.replace(/https:\S+/, "URL"); // the registry is whichever this machine uses
      deepStrictEqual([exited, told], [code, `pdwatch-engine: ${message}\n`]);
    }));
}

Deno.test("does not linger when it fails in a way that nobody thought of, and shows where", () =>
  withWorkflow({ nodes: GOOD, files: { ".source-digest/no-file": "" } }, async (directory) => {
    const [code, stderr] = await outcomeOf(directory, "--workflow", `${directory}/workflow.yaml`);
    strictEqual(code, 1);
    match(stderr, /^pdwatch-engine: IsADirectory: .*\n(pdwatch-engine: {5}at .*\n)+$/);
  }));

Deno.test("does not start on a port in use, and says so", () =>
  withWorkflow({ nodes: GOOD }, async (directory) => {
    await using other = new Gate();
    const { port } = new URL(other.url);
    const workflow = `${directory}/workflow.yaml`;
    const [code, stderr] = await outcomeOf(directory, "--workflow", workflow, "--port", port);
    strictEqual(code, 1);
    match(
      stderr,
      new RegExp(`^pdwatch-engine: cannot listen on port ${port}: Address already in use .*\n$`),
    );
  }));
