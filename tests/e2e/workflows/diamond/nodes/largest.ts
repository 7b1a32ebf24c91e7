import type { Context } from "pipedreamer";

export default function largest(_ctx: Context, numbers: number[]): Promise<number> {
  numbers.sort((a, b) => b - a); // what a node does to its input is seen by no other
  return Promise.resolve(numbers[0]);
}
