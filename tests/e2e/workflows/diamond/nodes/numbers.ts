import type { Context } from "pipedreamer";

export default function numbers(_ctx: Context, input: { upTo: number }): Promise<number[]> {
  return Promise.resolve(Array.from({ length: input.upTo }, (_, index) => index ** 2));
}
