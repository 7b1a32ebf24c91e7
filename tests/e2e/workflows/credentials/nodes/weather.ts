import type { Context } from "pipedreamer";

export default async function weather(ctx: Context, input: { origin: string }): Promise<unknown> {
  const response = await ctx.fetch("weather", `${input.origin}/weather`);
  if (!response.ok) throw new Error(`the weather service answered ${response.status}`);
  return await response.json();
}
