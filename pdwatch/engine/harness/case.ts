/** Runs one case, as the engine runs a workflow: same limits, retries, `ctx` and JSON rules. */

import { type Clock, systemClock } from "../clock.ts";
import { consoleOf } from "../console.ts";
import { messageOf } from "../errors.ts";
import { link } from "../executor.ts";
import { compileGraph } from "../graph.ts";
import { createLogger, type LogScope } from "../logger.ts";
import type { Logger } from "../mod.ts";
import { importNodes } from "../nodes.ts";
import { Redactor } from "../redaction.ts";
import { Runs } from "../runs.ts";
import type { Workflow } from "../workflow.ts";
import { MockedFetch } from "./mocked_fetch.ts";
import type { Outcome, PlannedCase } from "./plan.ts";

export interface Scene {
  readonly directory: string;
  readonly workflow: Workflow;
  readonly clock?: Clock;
  /** Called before any of the workflow's code runs. */
  readonly prepare: (globals: Globals, log: Logger) => void;
}

/** What the case puts in the place of Deno's own. */
export interface Globals {
  readonly fetch: typeof fetch;
  readonly console: Partial<Console>;
}

/** Of a node that logs without end, these many of the newest lines are kept. */
const MOST_LINES = 200;

/**
 * What keeps a case from being run is its outcome's `fault`.
 *
 * @throws {TypeError} if the URL of an answer can't be read.
 */
export async function runCase(planned: PlannedCase, scene: Scene): Promise<Outcome> {
  const { directory, clock = systemClock } = scene;
  const workflow = partOf(scene.workflow, planned);
  const redactor = new Redactor();
  redactor.learn(planned.secrets);
  const mocked = new MockedFetch(planned.fetch);
  const log: string[] = [];
  const write = (line: string): void => {
    log.push(...readable(line, directory));
    log.splice(0, log.length - MOST_LINES);
  };
  const redact = (text: string): string => redactor.redact(text);
  const logger = (scope: LogScope): Logger =>
    createLogger({ format: "json", write, now: clock.now, redact }, scope);
  const loose = logger({ workflow: workflow.name });
  scene.prepare({ fetch: mocked.fetch, console: consoleOf(loose, clock.elapsed) }, loose);
  const began = clock.elapsed();
  const outcome = (ended: Pick<Outcome, "outputs" | "errors" | "fault">): Outcome => ({
    ...ended,
    durationMs: Math.round(clock.elapsed() - began),
    log,
    unmocked: mocked.unmocked.map(({ method, url }) => ({ method, url: redact(url) })),
    used: mocked.used,
  });
  try {
    const functions = await importNodes(directory, workflow.nodes);
    for (const [id, output] of Object.entries(planned.mocks)) {
      functions.set(id, () => Promise.resolve(output));
    }
    const runs = new Runs({
      workflow,
      program: link(compileGraph(planned.nodes, workflow.edges), functions, workflow),
      clock,
      redactor,
      readSecrets: () => Promise.resolve(planned.secrets),
      // What the run as a whole logs only repeats the result.
      logger: (scope) => scope.node === undefined ? silent : logger(scope),
      newRunId: () => "test",
    });
    const { result: { outputs, errors } } = await runs.start(
      "test",
      () => Promise.resolve(planned.payload),
    );
    return outcome({
      outputs,
      errors: Object.fromEntries(
        Object.entries(errors).map(([id, error]) => [id, withoutNetwork(error)]),
      ),
      fault: null,
    });
  } catch (error) {
    return outcome({ outputs: {}, errors: {}, fault: redact(messageOf(error)) });
  }
}

/** The nodes of the case that are to be run, with its configuration; mocked ones are not even imported. */
function partOf(workflow: Workflow, { nodes, config, mocks }: PlannedCase): Workflow {
  const kept = [...workflow.nodes].filter(([id]) =>
    nodes.includes(id) && !Object.hasOwn(mocks, id)
  );
  return {
    ...workflow,
    nodes: new Map(kept.map(([id, node]) => [id, { ...node, config: config[id] ?? node.config }])),
    edges: workflow.edges.filter(({ from, to }) => nodes.includes(from) && nodes.includes(to)),
  };
}

/** A line of the log without time and place, which say nothing in a test; of a stack the workflow's part. */
function readable(line: string, directory: string): string[] {
  const { level, node, message, args = [] } = JSON.parse(line);
  const root = `file://${directory}/`;
  const stack: unknown = args[0]?.thrown?.stack; // of what the engine says when an attempt fails
  const frames = typeof stack !== "string" ? [] : stack.split("\n")
    .filter((frame) => frame.includes(root) && !frame.includes(`${root}engine/`));
  const rest = typeof stack === "string" ? [] : args.map(shown);
  const place = node === undefined ? "" : `[${node}] `;
  const head = [level.toUpperCase(), place + message, ...rest].join(" ");
  return [...withoutNetwork(head).split("\n"), ...frames].map((text) => text.replaceAll(root, ""));
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** To declare a host, which the engine says when one can't be reached, does not help here. */
function withoutNetwork(text: string): string {
  return text.replace(
    / is not a declared host; in workflow\.yaml set nodes\..*/s,
    " can't be reached: tests have no network, only a mocked fetch",
  );
}

const ignore = (): void => {};
const silent: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
