import type { Context } from "pipedreamer";

/** Ends only because its time does. */
export default function slow(ctx: Context, _input: unknown): Promise<never> {
  return new Promise((_resolve, reject) => {
    ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
  });
}
