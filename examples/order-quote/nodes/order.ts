import type { Context } from "pipedreamer";

export interface Item {
  name: string;
  /** In cents. */
  price: number;
  quantity: number;
  /** Of one piece. */
  grams: number;
}

export interface Order {
  country: string;
  items: Item[];
}

const SAMPLE: Order = {
  country: "IE",
  items: [
    { name: "notebook", price: 450, quantity: 12, grams: 210 },
    { name: "fountain pen", price: 3900, quantity: 1, grams: 35 },
  ],
};

/** Checks the payload, or quotes a sample order when there is none. */
export default function run(_ctx: Context, input: Partial<Order>): Promise<Order> {
  const { country, items } = input.items === undefined ? SAMPLE : input as Order;
  if (typeof country !== "string") throw new Error("country is missing");
  if (items.length === 0) throw new Error("an order needs at least one item");
  return Promise.resolve({ country, items });
}
