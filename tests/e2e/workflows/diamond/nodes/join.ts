import type { Context } from "pipedreamer";

interface Input {
  total: number;
  largest: number;
}

export default function join(_ctx: Context, { total, largest }: Input): Promise<string> {
  return Promise.resolve(`${largest} of ${total}`);
}
