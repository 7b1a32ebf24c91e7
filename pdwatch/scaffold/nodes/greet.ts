import type { Context } from "pipedreamer";

/** What starts the workflow may send `{"names": ["Ada", "Grace"]}`. */
interface Payload {
  names?: string[];
}

export default function greet(ctx: Context, { names = ["world"] }: Payload): string[] {
  ctx.log.info("greeting", { count: names.length });
  return names.map((name) => `${ctx.config.greeting}, ${name}!`);
}
