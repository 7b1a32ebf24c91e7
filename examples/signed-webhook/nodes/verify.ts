import type { Context } from "pipedreamer";
import { verifies } from "../lib/hmac.ts";

interface Delivery {
  headers?: Record<string, string>;
  rawBody?: string;
}

/** Passes on the items of a delivery whose signature is right; refuses any other. */
export default async function run(ctx: Context, delivery: Delivery): Promise<unknown[]> {
  const secret = ctx.secrets.webhook?.key;
  if (secret === undefined) {
    throw new Error("there is no secret webhook.key; see this workflow's README");
  }
  const signature = delivery.headers?.[String(ctx.config.header)] ?? "";
  const body = delivery.rawBody ?? "";
  if (!await verifies(secret, body, signature)) throw new Error("the signature is wrong");
  return JSON.parse(body).items;
}
