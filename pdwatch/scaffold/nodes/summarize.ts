import type { Context } from "pipedreamer";

/** What this node returns is `outputs.summarize` in the result of a run. */
interface Summary {
  count: number;
  text: string;
}

export default function summarize(_ctx: Context, greetings: string[]): Summary {
  return { count: greetings.length, text: greetings.join(" ") };
}
