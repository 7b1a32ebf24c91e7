import type { Context } from "pipedreamer";

export interface Commit {
  type: string;
  scope: string | null;
  subject: string;
}

const CONVENTIONAL = /^(?<type>[a-z]+)(?:\((?<scope>[^)]+)\))?!?: (?<subject>.+)$/;

const SAMPLE = [
  "feat(engine): start a node as soon as its inputs are there",
  "fix: keep the last good revision serving",
  "docs: explain what a digest covers",
  "feat: watch directories that appear later",
];

/** Reads `{messages: string[]}`; lines that are no conventional commits become type `other`. */
export default function run(ctx: Context, input: { messages?: string[] }): Promise<Commit[]> {
  const messages = input.messages ?? SAMPLE;
  ctx.log.info("parsing", { messages: messages.length });
  return Promise.resolve(messages.map((message) => {
    const { type, scope, subject } = CONVENTIONAL.exec(message)?.groups ?? {};
    return { type: type ?? "other", scope: scope ?? null, subject: subject ?? message };
  }));
}
