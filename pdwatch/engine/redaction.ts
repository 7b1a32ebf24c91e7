/** Keeps secret values out of whatever text the engine writes. */

import type { Context } from "./mod.ts";

const MASK = "[redacted]";
/** A shorter value is masked only where it stands alone: "eu" within "queue" gives nothing away. */
const SHORTEST_WITHIN_TEXT = 4;

/**
 * Masks every secret value it was ever taught: a value that was rotated away still may turn up in what
 * was started before.
 */
export class Redactor {
  readonly #values = new Set<string>();
  #pattern: RegExp | undefined;

  /** Learns every string and number in `secrets`, however deep. */
  learn(secrets: Context["secrets"]): void {
    const before = this.#values.size;
    for (const value of leaves(secrets)) if (value !== "") this.#values.add(value);
    if (this.#values.size > before) this.#pattern = patternOf(this.#values);
  }

  redact(text: string): string {
    if (this.#values.has(text)) return MASK;
    return this.#pattern === undefined ? text : text.replaceAll(this.#pattern, MASK);
  }
}

function* leaves(value: unknown): Generator<string> {
  if (typeof value === "string" || typeof value === "number") yield String(value);
  if (typeof value !== "object" || value === null) return;
  for (const item of Object.values(value)) yield* leaves(item);
}

/** Longest first, so that a value that contains another is masked whole. */
function patternOf(values: Iterable<string>): RegExp | undefined {
  const long = [...values].filter((value) => value.length >= SHORTEST_WITHIN_TEXT);
  const spellings = [...new Set(long.flatMap(spellingsOf))].sort((a, b) => b.length - a.length);
  return spellings.length === 0
    ? undefined
    : new RegExp(spellings.map(RegExp.escape).join("|"), "g");
}

/** As it is, inside a JSON string, and inside a URL. */
function spellingsOf(value: string): string[] {
  return [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value.toWellFormed())];
}
