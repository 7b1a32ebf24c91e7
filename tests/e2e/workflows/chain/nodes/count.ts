import type { Context } from "pipedreamer";

export default function count(ctx: Context, words: string[]): Promise<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const least = Number(ctx.config.least);
  return Promise.resolve(Object.fromEntries([...counts].filter(([, times]) => times >= least)));
}
