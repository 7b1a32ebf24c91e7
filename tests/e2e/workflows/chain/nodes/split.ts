import type { Context } from "pipedreamer";

export default function split(_ctx: Context, input: { text: string }): Promise<string[]> {
  return Promise.resolve(input.text.toLowerCase().match(/\p{L}+/gu) ?? []);
}
