/**
 * The console for nodes and packages: what they write becomes log lines, so that secret values are masked
 * in it as they are in `ctx.log`.
 */

import type { Logger } from "./mod.ts";

type Write = (...args: unknown[]) => void;

/**
 * The methods of the global console that write something, on top of a logger. The first argument is a
 * line's message and the others its arguments; nothing is put in place of a `%s`.
 */
export function consoleOf(log: Logger, elapsed: () => number): Record<string, Write> {
  const writer = (level: keyof Logger): Write => (message: unknown = "", ...args) =>
    log[level](message as string, ...args);
  const [debug, info, warn, error] = (["debug", "info", "warn", "error"] as const).map(writer);
  const counts = new Map<unknown, number>();
  const timers = new Map<unknown, number>();
  const timeLog: Write = (label = "default", ...args) => {
    const began = timers.get(label);
    if (began === undefined) warn("there is no such timer", label);
    else info(label, { ms: Math.round(elapsed() - began) }, ...args);
  };
  return {
    debug,
    info,
    warn,
    error,
    log: info,
    dir: (value) => info(value),
    dirxml: info,
    table: info,
    group: info,
    groupCollapsed: info,
    trace: (message = "", ...args) => debug(message, ...args, new Error("trace").stack),
    assert: (condition, ...args) => condition || error("assertion failed", ...args),
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      info(label, { count: counts.get(label) });
    },
    countReset: (label = "default") => void counts.delete(label),
    time: (label = "default") => void timers.set(label, elapsed()),
    timeLog,
    timeEnd: (label = "default") => {
      timeLog(label);
      timers.delete(label);
    },
  };
}
