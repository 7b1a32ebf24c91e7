import type { Context } from "pipedreamer";

export default function rank(_ctx: Context, counts: Record<string, number>): Promise<string[]> {
  const ranked = Object.entries(counts).sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
  return Promise.resolve(ranked.map(([word, times]) => `${word} ${times}`));
}
