import type { Context } from "pipedreamer";
import type { Groups } from "./group.ts";

const HEADINGS: Record<string, string> = { feat: "Added", fix: "Fixed" };

/** Renders Markdown: what users notice first, everything else after it. */
export default function run(ctx: Context, groups: Groups): Promise<{ markdown: string }> {
  const known = Object.keys(HEADINGS).filter((type) => type in groups);
  const others = Object.keys(groups).filter((type) => !(type in HEADINGS)).sort();
  const sections = [...known, ...others].map((type) => {
    const lines = groups[type].map(({ scope, subject }) =>
      scope ? `- **${scope}**: ${subject}` : `- ${subject}`
    );
    return [`## ${HEADINGS[type] ?? type}`, ...lines].join("\n");
  });
  return Promise.resolve({ markdown: [`# ${ctx.config.title}`, ...sections].join("\n\n") });
}
