/** The engine's own error, and the words for anybody's. */

/** The engine cannot start; the message says why, one line for each problem. */
export class StartError extends Error {
  override name = "StartError";
}

/** Deno's words for every failed fetch; the cause says what failed. */
const FETCH_FAILED = "fetch failed";

/** Says in words what was thrown, be it an Error or not; never throws itself. */
export function messageOf(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return `threw ${inspect(thrown)}, which is not an Error`;
    const message = String(thrown.message || thrown.name);
    return message === FETCH_FAILED && thrown.cause instanceof Error
      ? `${message}: ${thrown.cause.message}`
      : message;
  } catch {
    return "threw something that cannot be shown";
  }
}

function inspect(value: unknown): string {
  return Deno.inspect(value, { depth: 2, breakLength: Infinity, strAbbreviateSize: 200 });
}
