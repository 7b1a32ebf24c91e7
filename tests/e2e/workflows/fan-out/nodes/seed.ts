import type { Context } from "pipedreamer";

export default function seed(_ctx: Context, input: { base: number }): Promise<number> {
  return Promise.resolve(input.base);
}
