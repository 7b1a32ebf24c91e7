/** Makes the `ctx` of one attempt of one node. */

import type { Context, Logger } from "./mod.ts";
import type { Secrets } from "./secrets.ts";

export interface ContextParts {
  readonly config: Record<string, unknown>;
  readonly secrets: Secrets;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** `config` and `secrets` are copied: what a node changes in them stays with this attempt. */
export function createContext({ config, secrets, log, signal }: ContextParts): Context {
  const own = structuredClone({ config, secrets });
  return {
    ...own,
    log,
    signal,
    fetch: (service, path, init) => {
      const { url, headers } = requestOf(service, path, init, secrets);
      const signals = init?.signal ? [signal, init.signal] : [signal];
      return fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
    },
  };
}

/**
 * What `ctx.fetch` asks for: a full URL as it is, else `https://api.<service>.com<path>`, with the
 * service's credentials unless `init` has set those headers itself.
 */
export function requestOf(
  service: string,
  path: string,
  init: RequestInit | undefined,
  secrets: Secrets,
): { url: string; headers: Headers } {
  const headers = new Headers(init?.headers);
  const { token, api_key: apiKey } = Object.hasOwn(secrets, service) ? secrets[service] : {};
  if (token && !headers.has("Authorization")) headers.set("Authorization", `Bearer ${token}`);
  if (apiKey && !headers.has("X-API-Key")) headers.set("X-API-Key", apiKey);
  return { url: urlOf(service, path), headers };
}

/** A path without its slash gets one: it must not become a part of the host's name. */
function urlOf(service: string, path: string): string {
  if (/^https?:\/\//i.test(path)) return path;
  return `https://api.${service}.com${path.startsWith("/") ? "" : "/"}${path}`;
}
