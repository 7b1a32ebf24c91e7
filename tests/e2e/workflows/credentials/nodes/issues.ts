import type { Context } from "pipedreamer";

export default async function issues(ctx: Context, input: { origin: string }): Promise<unknown> {
  const response = await ctx.fetch("tracker", `${input.origin}/issues`);
  if (!response.ok) throw new Error(`the tracker answered ${response.status}`);
  return await response.json();
}
