import type { Context } from "pipedreamer";

/** Counts the items and shows the first few. */
export default function run(ctx: Context, items: unknown[]) {
  const shown = items.slice(0, Number(ctx.config.maxItems));
  return Promise.resolve({ count: items.length, shown, more: items.length - shown.length });
}
