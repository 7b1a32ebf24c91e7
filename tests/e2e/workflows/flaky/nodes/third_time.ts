import type { Context } from "pipedreamer";

let attempts = 0;

export default function thirdTime(_ctx: Context, _input: unknown): Promise<string> {
  attempts += 1;
  if (attempts < 3) throw new Error(`attempt ${attempts} failed`);
  return Promise.resolve(`succeeded in attempt ${attempts}`);
}
