import type { Context } from "pipedreamer";

interface Input {
  issues: string[];
  weather: { sky: string };
}

export default function report(ctx: Context, { issues, weather }: Input): Promise<string> {
  const known = Object.keys(ctx.secrets).sort().join(" and ");
  return Promise.resolve(`${issues.length} issues under a ${weather.sky} sky, with ${known}`);
}
