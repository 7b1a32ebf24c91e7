/** A case in a worker of its own: it shares no module and no global with any other. */

/// <reference lib="deno.worker" />

import { keepAlive } from "../keep_alive.ts";
import { parseWorkflow } from "../workflow.ts";
import { runCase } from "./case.ts";
import type { PlannedCase } from "./plan.ts";

/** What {@link runIsolated} sends. */
export interface Task {
  readonly directory: string;
  /** `workflow.json`. */
  readonly workflow: string;
  readonly planned: PlannedCase;
}

self.onmessage = async ({ data }: MessageEvent<Task>): Promise<void> => {
  const { directory, workflow, planned } = data;
  const outcome = await runCase(planned, {
    directory,
    workflow: parseWorkflow(workflow),
    prepare: (globals, log) => {
      globalThis.fetch = globals.fetch;
      Object.assign(console, globals.console);
      keepAlive(log);
    },
  });
  self.postMessage(outcome);
};
