import type { Context } from "pipedreamer";
import type { Commit } from "./parse.ts";

export type Groups = Record<string, Commit[]>;

/** Groups commits by type, keeping their order within each. */
export default function run(_ctx: Context, commits: Commit[]): Promise<Groups> {
  const groups: Groups = {};
  for (const commit of commits) (groups[commit.type] ??= []).push(commit);
  return Promise.resolve(groups);
}
