import type { Context } from "pipedreamer";

export default function start(_ctx: Context, input: { greeting: string }): Promise<string> {
  return Promise.resolve(input.greeting);
}
