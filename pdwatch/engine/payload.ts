/** Reads what a request carries, within limits, and says what is wrong with it. */

import { parseDuration } from "./clock.ts";

/** An answer other than success, as `{"error": message}`. */
export class HttpError extends Error {
  constructor(readonly status: number, message: string, readonly headers: HeadersInit = {}) {
    super(message);
  }
}

/** The client's `X-Request-Id`; undefined for none, or one that has no place in a log. */
export function requestIdOf(request: Request): string | undefined {
  const id = request.headers.get("X-Request-Id") ?? "";
  return /^[\w.:/+=@-]{1,128}$/.test(id) ? id : undefined;
}

/** `?timeout=` in milliseconds; undefined when there is none. */
export function timeoutOf(request: Request): number | undefined {
  const text = new URL(request.url).searchParams.get("timeout");
  if (text === null) return undefined;
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new HttpError(
    400,
    `timeout must be a whole number above 0 and a unit, ms, s or m, such as 500ms, 30s or 2m, not "${text}"`,
  );
}

/** The JSON body, or `{}` when there is none. */
export async function runPayload(request: Request, limit: number): Promise<unknown> {
  const text = await readText(request, limit);
  if (text === "") return {};
  const type = request.headers.get("Content-Type");
  if (type !== null && !isJson(type)) {
    throw new HttpError(415, `the body must be JSON, sent as application/json and not as ${type}`);
  }
  return parseJson(text);
}

/** What a source node gets as its input when a webhook starts the workflow. */
export interface WebhookPayload {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly query: Record<string, string>;
  readonly body: unknown;
  readonly rawBody: string;
}

/**
 * The whole request; a JSON body is parsed, any other is text, none is null. `rawBody` is the text as it
 * came, which is what senders sign.
 */
export async function webhookPayload(request: Request, limit: number): Promise<WebhookPayload> {
  const text = await readText(request, limit);
  const json = isJson(request.headers.get("Content-Type") ?? "");
  return {
    method: request.method,
    headers: Object.fromEntries(request.headers),
    query: Object.fromEntries(new URL(request.url).searchParams),
    body: text === "" ? null : json ? parseJson(text) : text,
    rawBody: text,
  };
}

async function readText(request: Request, limit: number): Promise<string> {
  const tooLarge = new HttpError(413, `the body is larger than ${limit} bytes`);
  if (Number(request.headers.get("Content-Length")) > limit) throw tooLarge;
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request.body ?? []) {
      size += chunk.length;
      if (size > limit) break;
      chunks.push(chunk);
    }
  } catch {
    throw new HttpError(400, "the body ended early");
  }
  if (size > limit) throw tooLarge;
  return await new Blob(chunks as BlobPart[]).text();
}

function isJson(contentType: string): boolean {
  return /^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType.trim());
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, "the body is not valid JSON");
  }
}
