import type { Context } from "pipedreamer";

export default function power(ctx: Context, base: number): Promise<number> {
  return Promise.resolve(base ** Number(ctx.config.exponent));
}
