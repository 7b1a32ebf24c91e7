/** Log lines: JSON for a cluster's collector, or text for a person at a terminal. */

import type { Logger } from "./mod.ts";

export type LogFormat = "json" | "text";

export interface LogOutput {
  readonly format: LogFormat;
  write(line: string): void;
  now(): Date;
  /** Masks secret values in a text. */
  redact(text: string): string;
}

/** What a line is about; the engine's own lines have a `workflow` only. */
export interface LogScope {
  readonly workflow: string;
  readonly node?: string;
  readonly runId?: string;
  /** Of the HTTP request that started the run. */
  readonly requestId?: string;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = typeof LEVELS[number];

/** Objects nested deeper than this are shown as text. */
const MAX_DEPTH = 8;

/** Makes a logger that writes one line a call and never throws, whatever it is given. */
export function createLogger(output: LogOutput, scope: LogScope): Logger {
  const line = output.format === "json" ? jsonLine : textLine;
  const write = (level: Level, message: unknown, args: unknown[]): void => {
    const plain = args.map((arg) => toPlain(arg, output.redact));
    output.write(line(output.now(), level, scope, toText(message, output.redact), plain));
  };
  return {
    debug: (message, ...args) => write("debug", message, args),
    info: (message, ...args) => write("info", message, args),
    warn: (message, ...args) => write("warn", message, args),
    error: (message, ...args) => write("error", message, args),
  };
}

function jsonLine(
  time: Date,
  level: Level,
  scope: LogScope,
  message: string,
  args: unknown[],
): string {
  const { workflow, node, runId, requestId } = scope;
  return JSON.stringify({
    time: time.toISOString(),
    level,
    workflow,
    node,
    runId,
    requestId,
    message,
    args: args.length > 0 ? args : undefined,
  });
}

function textLine(
  time: Date,
  level: Level,
  scope: LogScope,
  message: string,
  args: unknown[],
): string {
  const clock = time.toISOString().slice(11, 23);
  const place = scope.node === undefined ? "" : `[${scope.node}] `;
  const rest = args.map((arg) => typeof arg === "string" ? arg : JSON.stringify(arg));
  return [clock, level.toUpperCase().padEnd(5), place + message, ...rest].join(" ");
}

function toText(message: unknown, redact: LogOutput["redact"]): string {
  const plain = toPlain(message, redact);
  return typeof plain === "string" ? plain : JSON.stringify(plain);
}

/** Turns any value into one that JSON shows in full, with secret values masked. */
function toPlain(value: unknown, redact: LogOutput["redact"], ancestors: object[] = []): unknown {
  try {
    return plainOf(value, redact, ancestors);
  } catch {
    return "[cannot be shown]";
  }
}

function plainOf(value: unknown, redact: LogOutput["redact"], ancestors: object[]): unknown {
  if (typeof value === "string") return redact(value);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) {
    const text = String(value);
    return redact(text) === text ? value : redact(text);
  }
  if (typeof value !== "object") return redact(String(value));
  if (ancestors.includes(value)) return "[circular]";
  if (ancestors.length === MAX_DEPTH) return inspect(value, redact);
  const inner = (item: unknown): unknown => toPlain(item, redact, [...ancestors, value]);
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return inner({ name, message, stack, ...(cause === undefined ? {} : { cause }) });
  }
  if ("toJSON" in value && typeof value.toJSON === "function") return inner(value.toJSON());
  if (Array.isArray(value)) return value.map(inner);
  const entries = Object.entries(value);
  if (entries.length === 0 && Object.getPrototypeOf(value) !== Object.prototype) {
    return inspect(value, redact);
  }
  return Object.fromEntries(entries.map(([key, item]) => [redact(key), inner(item)]));
}

/** A Map, Response, …, which has no properties to list. */
function inspect(value: object, redact: LogOutput["redact"]): string {
  return redact(Deno.inspect(value, { breakLength: Infinity, strAbbreviateSize: Infinity }));
}
