import type { Context } from "pipedreamer";

interface Parts {
  goods: { cents: number };
  shipping: { cents: number };
  tax: { rate: number };
}

/** Joins the three: a node with several dependencies gets an object keyed by node id. */
export default function run(ctx: Context, { goods, shipping, tax }: Parts) {
  const net = goods.cents + shipping.cents;
  const vat = Math.round(net * tax.rate);
  ctx.log.info("quoted", { net, vat });
  return Promise.resolve({ goods: goods.cents, shipping: shipping.cents, vat, total: net + vat });
}
