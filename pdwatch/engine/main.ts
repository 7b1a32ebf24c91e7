/**
 * Starts the engine for one workflow:
 *
 *     deno run … main.ts --workflow /app/workflow.yaml [--host 0.0.0.0] [--port 8080]
 *       [--secrets PATH] [--grace 25]
 *
 * - `--workflow`: `workflow.json`, which pdwatch compiles from it, is read from the same directory; so is
 *   the sources' digest, from `.source-digest`, where there is one.
 * - `--host`: the address to listen on.
 * - `--port`: 0 takes a free one; the log says which.
 * - `--secrets`: a directory or a JSON file of secrets, instead of `.secrets/` and `/app/secrets`.
 * - `--grace`: the seconds that runs in flight have to finish once the engine is told to stop.
 *
 * Exit codes:
 *
 * | code | meaning |
 * |-----:|---------|
 * |    0 | stopped by SIGTERM or SIGINT, and no run was cut off |
 * |    1 | could not start; each line on stderr says one reason |
 * |    2 | the arguments are wrong |
 * |    3 | stopped, but runs were cut off: the grace period ended, or a second signal came |
 *
 * @module
 */

import { sleep, systemClock } from "./clock.ts";
import { consoleOf } from "./console.ts";
import { scheduleTriggers } from "./cron.ts";
import { messageOf, StartError } from "./errors.ts";
import { link } from "./executor.ts";
import { compileGraph } from "./graph.ts";
import { keepAlive } from "./keep_alive.ts";
import { createLogger, type LogScope } from "./logger.ts";
import type { Logger } from "./mod.ts";
import { importNodes } from "./nodes.ts";
import { Redactor } from "./redaction.ts";
import { Runs } from "./runs.ts";
import { readSecrets, secretPlaces } from "./secrets.ts";
import { createHandler, type Handler } from "./server.ts";
import { parseWorkflow, type Workflow } from "./workflow.ts";

interface Options {
  readonly workflow: string;
  readonly host: string;
  readonly port: number;
  readonly secrets?: string;
  readonly graceMs: number;
}

/** Deno's own, of which nodes get no hold. */
const { log: toStdout, error: toStderr } = console;
const { exit } = Deno;

class UsageError extends Error {
  override name = "UsageError";
}

/** Runs until a signal says stop; resolves to the exit code. */
async function main(options: Options, redactor: Redactor): Promise<number> {
  // A kubelet that is refused comes again in a second; one that is heard waits for the answer.
  const handler = Promise.withResolvers<Handler>();
  const server = listen(options, async (request) => (await handler.promise)(request));
  const directory = directoryOf(options.workflow);
  const workflow = await readWorkflow(directory);
  const graph = compileGraph(workflow.nodes.keys(), workflow.edges);
  const logger = loggerFor(redactor);
  const log = logger({ workflow: workflow.name });
  const places = secretPlaces(directory, options.secrets);
  const warn = once((message) => log.warn(message));
  redactor.learn(await readSecrets(places, warn));
  Object.assign(console, consoleOf(log, systemClock.elapsed));
  keepAlive(log);
  const functions = await importNodes(directory, workflow.nodes);
  const runs = new Runs({
    workflow,
    program: link(graph, functions, workflow),
    clock: systemClock,
    redactor,
    readSecrets: () => readSecrets(places, warn),
    logger,
    newRunId: () => crypto.randomUUID(),
  });

  const [stop, stopNow] = nextSignals();
  const schedules = new AbortController();
  scheduleTriggers(workflow.triggers, {
    cron: Deno.cron,
    signal: schedules.signal,
    start: (trigger) => runs.start(trigger, () => Promise.resolve({})),
    log,
  });
  const sourceDigest = await readSourceDigest(directory);
  const newRequestId = (): string => crypto.randomUUID();
  handler.resolve(createHandler({
    workflow,
    sourceDigest,
    runs,
    clock: systemClock,
    log,
    newRequestId,
  }));
  log.info("listening", { port: server.addr.port, sourceDigest });

  const signal = await stop;
  log.info("stopping", { signal, runsInFlight: runs.inFlight, graceMs: options.graceMs });
  schedules.abort();
  const cutOff = await Promise.race([
    runs.drain().then(() => server.shutdown()),
    sleep(systemClock, options.graceMs).then(() => "the grace period ended"),
    stopNow.then((again) => `${again} came while runs were in flight`),
  ]);
  if (cutOff === undefined) log.info("stopped");
  else log.error("stopped, runs cut off", { reason: cutOff, runsInFlight: runs.inFlight });
  return cutOff === undefined ? 0 : 3;
}

/** The directory that a file is in, as an absolute path. */
function directoryOf(file: string): string {
  const path = file.startsWith("/") ? file : `${Deno.cwd()}/${file}`;
  return path.slice(0, path.lastIndexOf("/"));
}

async function readWorkflow(directory: string): Promise<Workflow> {
  const path = `${directory}/workflow.json`;
  try {
    return parseWorkflow(await Deno.readTextFile(path));
  } catch (error) {
    const hint = error instanceof Deno.errors.NotFound
      ? "; pdwatch compiles it from workflow.yaml"
      : "";
    throw new StartError(`${path}: ${messageOf(error)}${hint}`);
  }
}

async function readSourceDigest(directory: string): Promise<string | null> {
  try {
    return (await Deno.readTextFile(`${directory}/.source-digest`)).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function loggerFor(redactor: Redactor): (scope: LogScope) => Logger {
  const output = {
    format: Deno.stdout.isTerminal() ? "text" : "json",
    write: toStdout,
    now: systemClock.now,
    redact: (text: string) => redactor.redact(text),
  } as const;
  return (scope) => createLogger(output, scope);
}

function listen(
  { host, port }: Options,
  handler: Deno.ServeHandler,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname: host, port, onListen: () => {} }, handler);
  } catch (error) {
    throw new StartError(`cannot listen on port ${port}: ${messageOf(error)}`);
  }
}

/** The first asks the engine to stop; the second, from somebody impatient, not to wait for runs. */
function nextSignals(): [first: Promise<Deno.Signal>, second: Promise<Deno.Signal>] {
  const first = Promise.withResolvers<Deno.Signal>();
  const second = Promise.withResolvers<Deno.Signal>();
  const waiting = [first, second];
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => waiting.shift()?.resolve(signal));
  }
  return [first.promise, second.promise];
}

/** Secrets are read for each run; the same complaint each time would drown the log. */
function once(say: (message: string) => void): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (said.has(message)) return;
    said.add(message);
    say(message);
  };
}

function parseArguments(args: readonly string[]): Options {
  const values = new Map<string, string>();
  for (let index = 0; index < args.length; index += 2) {
    const [flag, value] = args.slice(index, index + 2);
    if (!["--workflow", "--host", "--port", "--secrets", "--grace"].includes(flag)) {
      throw new UsageError(`unknown argument ${flag}`);
    }
    if (value === undefined) throw new UsageError(`${flag} needs a value`);
    values.set(flag, value);
  }
  const workflow = values.get("--workflow");
  if (workflow === undefined) throw new UsageError("--workflow is missing");
  return {
    workflow,
    host: values.get("--host") ?? "0.0.0.0",
    port: wholeNumber("--port", values.get("--port") ?? "8080", 65_535),
    secrets: values.get("--secrets"),
    graceMs: 1000 * wholeNumber("--grace", values.get("--grace") ?? "25", 86_400),
  };
}

function wholeNumber(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= most) return value;
  throw new UsageError(`${flag} must be a whole number from 0 to ${most}, not ${text}`);
}

/** Our own failure is told with its stack, anybody else's in one line. */
function explain(error: unknown): string {
  if (error instanceof StartError || error instanceof UsageError) return error.message;
  return error instanceof Error ? error.stack ?? error.message : messageOf(error);
}

if (import.meta.main) {
  const redactor = new Redactor();
  try {
    exit(await main(parseArguments(Deno.args), redactor));
  } catch (error) {
    // Thrown on, it would be a rejection like a node's, which must not end the engine.
    const lines = redactor.redact(explain(error)).split("\n");
    for (const line of lines) toStderr(`pdwatch-engine: ${line}`);
    exit(error instanceof UsageError ? 2 : 1);
  }
}
