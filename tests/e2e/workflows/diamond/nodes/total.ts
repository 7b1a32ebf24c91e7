import type { Context } from "pipedreamer";

export default function total(_ctx: Context, numbers: number[]): Promise<number> {
  return Promise.resolve(numbers.reduce((sum, number) => sum + number, 0));
}
