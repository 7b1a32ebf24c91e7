import type { Context } from "pipedreamer";
import type { Order } from "./order.ts";

/** The price of the goods in cents, with a discount on items bought in bulk. */
export default function run(ctx: Context, order: Order): Promise<{ cents: number }> {
  const { bulkFrom, bulkDiscount } = ctx.config as { bulkFrom: number; bulkDiscount: number };
  const cents = order.items.reduce((sum, { price, quantity }) => {
    const factor = quantity >= bulkFrom ? 1 - bulkDiscount : 1;
    return sum + Math.round(price * quantity * factor);
  }, 0);
  return Promise.resolve({ cents });
}
