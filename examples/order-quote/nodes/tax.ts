import type { Context } from "pipedreamer";
import type { Order } from "./order.ts";

/** The country's rate; an unknown country is an error and not a rate of zero. */
export default function run(ctx: Context, order: Order): Promise<{ rate: number }> {
  const { rates } = ctx.config as { rates: Record<string, number> };
  const rate = rates[order.country];
  if (rate === undefined) {
    throw new Error(`no tax rate for ${order.country}; add one under nodes.tax.config.rates`);
  }
  return Promise.resolve({ rate });
}
