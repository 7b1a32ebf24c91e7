/** Says why a node failed; a permission that Deno refused, in words that say what to do instead. */

import { messageOf } from "./errors.ts";

/** Who failed, and the hosts that workflow.yaml declares for it. */
export interface Failing {
  readonly id: string;
  readonly hosts?: readonly string[];
}

/** Never throws. What a refused permission was wrapped into keeps its own message, in front. */
export function failureOf(thrown: unknown, node: Failing): string {
  const message = messageOf(thrown);
  try {
    for (const [depth, error] of causesOf(thrown).entries()) {
      const advice = adviceFor(error, node);
      if (advice !== undefined) return depth === 0 ? advice : `${message}: ${advice}`;
    }
  } catch {
    // A getter that throws: the message, which has its own protection, has to do.
  }
  return message;
}

/** The error itself, then its cause, and so on. */
function causesOf(thrown: unknown): Error[] {
  const errors = new Set<Error>();
  for (let error = thrown; error instanceof Error && !errors.has(error); error = error.cause) {
    errors.add(error);
  }
  return [...errors];
}

/** Undefined for an error that is about no permission. */
function adviceFor(error: Error, node: Failing): string | undefined {
  if ("syscall" in error && error.syscall === "getaddrinfo" && "code" in error) {
    // How Deno's node:http and node:net put it.
    return error.code === "EPERM" && "hostname" in error
      ? reach(`${error.hostname}`, node)
      : undefined;
  }
  if (!(error instanceof Deno.errors.NotCapable)) return undefined;
  const refused = /^Requires (\w+) access(?: to "(.*)")?, run again/s.exec(error.message);
  if (refused === null) return undefined;
  const [, kind, target] = refused;
  if (kind === "net" && target !== undefined) return reach(target, node);
  return `${attempt(kind, target)}, which is not permitted; ${INSTEAD[kind] ?? "do without it"}`;
}

/** The line as it stands in workflow.yaml; JSON's quotes keep YAML from taking `*.host` for an alias. */
function reach(target: string, { id, hosts = [] }: Failing): string {
  const host = target.replace(/:(80|443)$/, "");
  if (host.startsWith("[")) return `${host} is not permitted; declare a host by its name instead`;
  const net = [...hosts, host].map((each) => JSON.stringify(each)).join(", ");
  return `${host} is not a declared host; in workflow.yaml set nodes.${id}.capabilities.net: [${net}]`;
}

function attempt(kind: string, target: string | undefined): string {
  const what = target === undefined ? "" : ` ${target}`;
  switch (kind) {
    case "env":
      return target === undefined ? "reads the environment" : `reads environment variable${what}`;
    case "run":
      return target === undefined ? "starts or signals a program" : `starts the program${what}`;
    case "read":
      return `reads${what}`;
    case "write":
      return `writes${what}`;
    case "ffi":
      return `loads the native library${what}`;
    case "sys":
      return `asks the system for${what}`;
    default:
      return `needs ${kind} access to${what}`;
  }
}

const INSTEAD: Readonly<Record<string, string>> = {
  env: "take settings from ctx.config and credentials from ctx.secrets",
  run: "the image holds no other program, so do it in TypeScript or ask a service for it",
  read: "only files below /app can be read: list them under config.include in workflow.yaml",
  write: "only below /tmp can files be written, and they last as long as the pod",
  ffi: "use a package without native code",
  sys: "take what you need from ctx.config",
};
