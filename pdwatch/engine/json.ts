/** What crosses an edge is JSON: these are the checks, and the text that travels. */

/**
 * Encodes a node's result. What JSON drops or turns into null by its own rules (a property that is
 * undefined, NaN) is left to it; what would silently lose content is refused.
 *
 * @throws {TypeError} saying what in the value JSON can't hold, and where.
 */
export function encodeOutput(value: unknown): string {
  refuse(value, [], new Set());
  const text: string | undefined = JSON.stringify(value);
  if (text !== undefined) return text;
  throw new TypeError("returned undefined, which JSON can't hold; return null to pass nothing on");
}

function refuse(value: unknown, path: string[], ancestors: Set<object>): void {
  if (typeof value === "bigint" || typeof value === "function" || typeof value === "symbol") {
    throw unholdable(path, `is of type ${typeof value}`);
  }
  if (typeof value !== "object" || value === null) return;
  if (ancestors.has(value)) throw unholdable(path, "contains itself");
  if ("toJSON" in value) return;
  if (isOpaque(value)) throw unholdable(path, `is of type ${value.constructor?.name ?? "object"}`);
  ancestors.add(value);
  for (const [key, item] of Object.entries(value)) {
    path.push(Array.isArray(value) ? `[${key}]` : `.${key}`);
    refuse(item, path, ancestors);
    path.pop();
  }
  ancestors.delete(value);
}

/** A Response, Map, Promise, … would become `{}`, and bytes an object with a key for each. */
function isOpaque(value: object): boolean {
  if (ArrayBuffer.isView(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  const plain = prototype === null || prototype === Object.prototype || Array.isArray(value);
  return !plain && Object.keys(value).length === 0;
}

function unholdable(path: string[], why: string): TypeError {
  return new TypeError(`returned what JSON can't hold: the result${path.join("")} ${why}`);
}
