import type { Context } from "pipedreamer";

export default function start(_ctx: Context, input: unknown): Promise<unknown> {
  return Promise.resolve(input);
}
