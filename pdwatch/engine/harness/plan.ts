/** What `pdwatch test` asks of the harness, and what it gets; pdwatch/core/fixture_plan.py is the other side. */

import type { Secrets } from "../secrets.ts";

/** On standard input, as JSON. */
export interface Plan {
  /** Begins every line of standard output that has an outcome; whatever else is there, a node wrote. */
  readonly mark: string;
  /** The workflow's, as `/app` is in an image. */
  readonly directory: string;
  readonly cases: readonly PlannedCase[];
}

/** One run of a part of the workflow, or of all of it. */
export interface PlannedCase {
  /** The ids of the nodes that take part; of the edges those count that have both ends here. */
  readonly nodes: readonly string[];
  readonly payload: unknown;
  /** By node id, in place of the node's own. */
  readonly config: Readonly<Record<string, Record<string, unknown>>>;
  readonly secrets: Secrets;
  readonly fetch: readonly Answer[];
  /** By node id: what the node passes on instead of being run. */
  readonly mocks: Readonly<Record<string, unknown>>;
}

/** A mocked answer to a request, or to any number of them. */
export interface Answer {
  /** A URL in which `*` stands for anything; a query counts only if there is a `?`. */
  readonly url: string;
  /** In capital letters; null for any. */
  readonly method: string | null;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Instead of an answer, the message that `fetch` rejects with. */
  readonly error: string | null;
  /** Whether it answers any number of requests, not one. */
  readonly repeat: boolean;
}

/** One line of standard output for each case, in order, behind the mark. */
export interface Outcome {
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly errors: Readonly<Record<string, string>>;
  readonly durationMs: number;
  /** The newest of the lines that the nodes logged, secret values masked. */
  readonly log: readonly string[];
  /** The requests that no answer was there for. */
  readonly unmocked: readonly { readonly method: string; readonly url: string }[];
  /** How often each of the answers was given. */
  readonly used: readonly number[];
  /** Why the case could not be run, or not to its end. */
  readonly fault: string | null;
}
