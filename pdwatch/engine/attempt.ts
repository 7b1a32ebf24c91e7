/** One node's attempts: its time limit, its retries, and what is told when one fails. */

import { type Clock, since, sleep, timeoutError } from "./clock.ts";
import { encodeOutput } from "./json.ts";
import type { Context, Logger, NodeFunction } from "./mod.ts";

export interface Limits {
  /** Of each attempt, in milliseconds. */
  readonly timeoutMs: number;
  readonly retries: number;
}

export interface NodeTiming {
  readonly startedAt: string;
  readonly completedAt: string;
  readonly durationMs: number;
  /** The duration of each attempt, without the pauses between them. */
  readonly attemptsMs: readonly number[];
}

/** Either the node's result as JSON text (never empty), or why there is none. */
export type Outcome =
  & { readonly timing: NodeTiming }
  & (
    | { readonly output: string; readonly error?: undefined }
    | { readonly output?: undefined; readonly error: string }
  );

export interface NodeEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes the `ctx` of an attempt. */
  context(signal: AbortSignal): Context;
  /** Says in words why the node failed, with secret values masked. */
  describe(thrown: unknown): string;
}

/** The pause before the first retry, in milliseconds; it doubles each time. */
const FIRST_PAUSE_MS = 100;

/**
 * Runs a node until an attempt succeeds or no retry is left; never rejects. `input` is JSON text: each
 * attempt parses its own copy, so that nothing one attempt changes is seen by another. Once `runSignal` is
 * aborted, its reason is the error of the attempt under way, or of the pause, and no other follows.
 */
export async function runNode(
  run: NodeFunction,
  input: string,
  limits: Limits,
  environment: NodeEnvironment,
  runSignal?: AbortSignal,
): Promise<Outcome> {
  const { clock, log } = environment;
  const startedAt = clock.now().toISOString();
  const began = clock.elapsed();
  const attemptsMs: number[] = [];
  const timing = (): NodeTiming => ({
    startedAt,
    completedAt: clock.now().toISOString(),
    durationMs: since(clock, began),
    attemptsMs,
  });
  for (let attempt = 1;; attempt++) {
    const attemptBegan = clock.elapsed();
    const result = await runOnce(run, input, limits.timeoutMs, environment, runSignal)
      .then((output) => ({ output }), (thrown: unknown) => ({ thrown }));
    attemptsMs.push(since(clock, attemptBegan));
    if ("output" in result) return { output: result.output, timing: timing() };
    const { thrown } = result;
    const error = environment.describe(thrown);
    if (attempt > limits.retries || runSignal?.aborted) {
      log.error(`failed: ${error}`, { attempt, thrown });
      return { error, timing: timing() };
    }
    const pauseMs = FIRST_PAUSE_MS * 2 ** (attempt - 1);
    log.warn(`failed, next attempt in ${pauseMs}ms: ${error}`, { attempt, thrown });
    await sleep(clock, pauseMs, runSignal);
    if (runSignal?.aborted) {
      return { error: environment.describe(runSignal.reason), timing: timing() };
    }
  }
}

/** Resolves to the result as JSON text. A result or an error that comes after the time limit is lost. */
async function runOnce(
  run: NodeFunction,
  input: string,
  timeoutMs: number,
  environment: NodeEnvironment,
  runSignal: AbortSignal | undefined,
): Promise<string> {
  const told = new AbortController();
  const limit = Promise.withResolvers<never>();
  let timeIsUp: unknown;
  const end = (reason: unknown): void => {
    timeIsUp = reason;
    limit.reject(reason);
  };
  const cancel = environment.clock.after(
    timeoutMs,
    () => end(timeoutError("timed out", timeoutMs)),
  );
  runSignal?.addEventListener("abort", () => end(runSignal.reason));
  const result = (async () => await run(environment.context(told.signal), JSON.parse(input)))();
  try {
    return encodeOutput(await Promise.race([result, limit.promise]));
  } finally {
    cancel();
    if (timeIsUp !== undefined) told.abort(timeIsUp);
  }
}
