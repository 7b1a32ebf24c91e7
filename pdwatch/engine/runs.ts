/** The runs of one workflow: starts them, counts them, and lets them finish. */

import type { NodeEnvironment } from "./attempt.ts";
import type { Clock } from "./clock.ts";
import { createContext } from "./context.ts";
import { execute, type Program, type RunResult } from "./executor.ts";
import type { LogScope } from "./logger.ts";
import type { Logger } from "./mod.ts";
import { failureOf } from "./permissions.ts";
import type { Redactor } from "./redaction.ts";
import type { Secrets } from "./secrets.ts";
import type { Workflow } from "./workflow.ts";

export interface RunsParts {
  readonly workflow: Workflow;
  readonly program: Program;
  readonly clock: Clock;
  readonly redactor: Redactor;
  /** Called for each run, so that a rotated secret counts at once. */
  readonly readSecrets: () => Promise<Secrets>;
  readonly logger: (scope: LogScope) => Logger;
  readonly newRunId: () => string;
  /** More at once are refused. */
  readonly maxInFlight?: number;
}

/** Reads what a run starts with. */
export type Payload = () => Promise<unknown>;

export interface RunOptions {
  /** The time limit of the whole run, in milliseconds. */
  readonly timeoutMs?: number;
  readonly requestId?: string;
}

export interface Run {
  readonly id: string;
  readonly result: RunResult;
}

/** No run starts now; the message says why. */
export class NotStarted extends Error {
  override name = "NotStarted";
}

/** No run starts any more: the engine is about to stop. */
export class Draining extends NotStarted {
  constructor() {
    super("the engine is stopping");
  }
}

/** As many runs are in flight as there may be. */
export class Busy extends NotStarted {
  constructor(limit: number) {
    super(`${limit} runs are in flight, which is the limit`);
  }
}

/** Each may hold a payload and results in memory, of which a pod has 256 Mi by default. */
const MAX_IN_FLIGHT = 64;

export class Runs {
  readonly #parts: RunsParts;
  readonly #running = new Set<Promise<Run>>();
  #draining = false;

  constructor(parts: RunsParts) {
    this.#parts = parts;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get inFlight(): number {
    return this.#running.size;
  }

  /**
   * Runs the workflow once. `trigger` says in the log what started it. The run is in flight while `payload` is
   * being read, which happens only if it may start: what is refused takes no memory.
   *
   * @throws {NotStarted} if no run may start now. What `payload` rejects with passes through.
   */
  async start(trigger: string, payload: Payload, options: RunOptions = {}): Promise<Run> {
    const limit = this.#parts.maxInFlight ?? MAX_IN_FLIGHT;
    if (this.#draining) throw new Draining();
    if (this.#running.size >= limit) throw new Busy(limit);
    const run = this.#run(trigger, payload, options);
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }

  /** Starts no run any more; resolves when none is in flight. */
  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.allSettled(this.#running);
  }

  async #run(trigger: string, read: Payload, options: RunOptions): Promise<Run> {
    const payload = await read();
    const { workflow, program, clock, redactor, readSecrets, logger, newRunId } = this.#parts;
    const { timeoutMs, requestId } = options;
    const id = newRunId();
    const scope = { workflow: workflow.name, runId: id, requestId };
    const secrets = await readSecrets();
    redactor.learn(secrets);
    const node = (nodeId: string): NodeEnvironment => this.#environment(nodeId, scope, secrets);
    const result = await execute(program, payload, { clock, node }, timeoutMs);
    const log = logger(scope);
    const details = { trigger, durationMs: result.timing.durationMs };
    if (result.success) log.info("run succeeded", details);
    else log.error("run failed", { ...details, errors: result.errors });
    return { id, result };
  }

  #environment(id: string, scope: LogScope, secrets: Secrets): NodeEnvironment {
    const { workflow, clock, redactor, logger } = this.#parts;
    const log = logger({ ...scope, node: id });
    const { config = {}, hosts } = workflow.nodes.get(id) ?? {};
    return {
      clock,
      log,
      context: (signal) => createContext({ config, secrets, log, signal }),
      describe: (thrown) => redactor.redact(failureOf(thrown, { id, hosts })),
    };
  }
}
