/**
 * What a node sees of the engine: the types behind `import type { Context } from "pipedreamer"`.
 *
 * @module
 */

/** Writes one line a call; secret values are masked, whatever is logged. */
export interface Logger {
  debug(message: string, ...args: unknown[]): void;
  info(message: string, ...args: unknown[]): void;
  warn(message: string, ...args: unknown[]): void;
  error(message: string, ...args: unknown[]): void;
}

/** Everything the engine gives to one attempt of one node. */
export interface Context {
  /**
   * Fetches `https://api.<service>.com<path>`, or `path` itself when that is a full URL.
   *
   * `secrets[service].token` is sent as `Authorization: Bearer …` and `secrets[service].api_key` as
   * `X-API-Key: …`, unless `init` sets that header. The request is aborted with {@link signal}.
   */
  fetch(service: string, path: string, init?: RequestInit): Promise<Response>;
  readonly log: Logger;
  /** The node's `config` in workflow.yaml; a copy of the node's own. */
  readonly config: Record<string, unknown>;
  /** By service; a plain-text secret file is `{ value }`. A copy of the node's own. */
  readonly secrets: Record<string, Record<string, string>>;
  /** Aborted when the node's time is up. */
  readonly signal: AbortSignal;
}

/**
 * The default export of a node.
 *
 * `input` is the trigger's payload for a node without dependencies, the output of its one dependency, or
 * an object of outputs keyed by node id. The result must be a value that JSON can hold.
 */
export type NodeFunction = (ctx: Context, input: unknown) => Promise<unknown>;
