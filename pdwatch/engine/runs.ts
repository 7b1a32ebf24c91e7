/** The runs of one workflow: starts them, counts them, and lets them finish. */

import type { NodeEnvironment } from "./attempt.ts";
import type { Clock } from "./clock.ts";
import { createContext } from "./context.ts";
import { execute, type Program, type RunResult } from "./executor.ts";
import type { LogScope } from "./logger.ts";
import type { Logger } from "./mod.ts";
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
}

export interface Run {
  readonly id: string;
  readonly result: RunResult;
}

/** No run starts any more: the engine is about to stop. */
export class Draining extends Error {
  override name = "Draining";
}

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
   * Runs the workflow once. `trigger` says in the log what started it.
   *
   * @throws {Draining} once {@link drain} was called.
   */
  async start(trigger: string, payload: unknown): Promise<Run> {
    if (this.#draining) throw new Draining();
    const run = this.#run(trigger, payload);
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

  async #run(trigger: string, payload: unknown): Promise<Run> {
    const { workflow, program, clock, redactor, readSecrets, logger, newRunId } = this.#parts;
    const id = newRunId();
    const secrets = await readSecrets();
    redactor.learn(secrets);
    const node = (nodeId: string): NodeEnvironment => this.#environment(nodeId, id, secrets);
    const result = await execute(program, payload, { clock, node });
    const log = logger({ workflow: workflow.name, runId: id });
    const details = { trigger, durationMs: result.timing.durationMs };
    if (result.success) log.info("run succeeded", details);
    else log.error("run failed", { ...details, errors: result.errors });
    return { id, result };
  }

  #environment(node: string, runId: string, secrets: Secrets): NodeEnvironment {
    const { workflow, clock, redactor, logger } = this.#parts;
    const log = logger({ workflow: workflow.name, node, runId });
    const config = workflow.nodes.get(node)?.config ?? {};
    return {
      clock,
      log,
      context: (signal) => createContext({ config, secrets, log, signal }),
      redact: (text) => redactor.redact(text),
    };
  }
}
