import type { Context } from "pipedreamer";

export default function never(_ctx: Context, _input: unknown): Promise<never> {
  throw { code: 42, why: "not an Error" };
}
