import type { Context } from "pipedreamer";
import type { Order } from "./order.ts";

/** Shipping in cents: a base price and a price for each started kilogram, free above a limit. */
export default function run(ctx: Context, order: Order): Promise<{ cents: number }> {
  const { base, perKilogram, freeFrom } = ctx.config as Record<string, number>;
  const goods = order.items.reduce((sum, { price, quantity }) => sum + price * quantity, 0);
  const grams = order.items.reduce((sum, { grams, quantity }) => sum + grams * quantity, 0);
  const cents = goods >= freeFrom ? 0 : base + perKilogram * Math.ceil(grams / 1000);
  return Promise.resolve({ cents });
}
