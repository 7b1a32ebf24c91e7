import type { Context } from "pipedreamer";

export default function sum(_ctx: Context, powers: Record<string, number>): Promise<number> {
  return Promise.resolve(Object.values(powers).reduce((total, power) => total + power, 0));
}
