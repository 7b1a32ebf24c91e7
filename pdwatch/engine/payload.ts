/** Reads what a request carries, within limits, and says what is wrong with it. */

import { type Clock, parseDuration } from "./clock.ts";

/** An answer other than success, as `{"error": message}`. */
export class HttpError extends Error {
  constructor(readonly status: number, message: string, readonly headers: HeadersInit = {}) {
    super(message);
  }
}

/** How large a body may be, and how long it may take to arrive. */
export interface BodyLimits {
  readonly clock: Clock;
  readonly bytes: number;
  readonly ms: number;
}

/** What the body of one run takes up of the memory that all have together, until it is disposed of. */
export interface BodyShare extends Disposable {
  /** Takes so many bytes more; false if they are not to be had. */
  take(bytes: number): boolean;
}

/** Bounds what the bodies of all runs in flight take up together, in bytes. */
export class BodyMemory {
  #free: number;

  constructor(readonly bytes: number) {
    this.#free = bytes;
  }

  share(): BodyShare {
    let taken = 0;
    return {
      take: (bytes) => {
        if (bytes > this.#free) return false;
        this.#free -= bytes;
        taken += bytes;
        return true;
      },
      [Symbol.dispose]: () => {
        this.#free += taken;
        taken = 0;
      },
    };
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
export async function runPayload(
  request: Request,
  limits: BodyLimits,
  share: BodyShare,
): Promise<unknown> {
  const text = await readText(request, limits, share);
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
export async function webhookPayload(
  request: Request,
  limits: BodyLimits,
  share: BodyShare,
): Promise<WebhookPayload> {
  const text = await readText(request, limits, share);
  const json = isJson(request.headers.get("Content-Type") ?? "");
  return {
    method: request.method,
    headers: Object.fromEntries(request.headers),
    query: Object.fromEntries(new URL(request.url).searchParams),
    body: text === "" ? null : json ? parseJson(text) : text,
    rawBody: text,
  };
}

/**
 * Reads what is left of a body and forgets it. Answered while it still sends, a client may lose the answer to
 * the closed connection (RFC 9112, section 9.6).
 */
export async function discardBody(request: Request, limits: BodyLimits): Promise<void> {
  if (request.body === null || request.bodyUsed) return;
  await receive(request.body, limits, () => {}); // late or broken off, it is refused anyway
}

async function readText(
  request: Request,
  limits: BodyLimits,
  share: BodyShare,
): Promise<string> {
  const tooLarge = new HttpError(413, `the body is larger than ${limits.bytes} bytes`);
  if (Number(request.headers.get("Content-Length")) > limits.bytes) throw tooLarge;
  if (request.body === null) return "";
  const decoder = new TextDecoder();
  const parts: string[] = []; // of the text, so that the bytes need not be kept beside it
  let size = 0;
  let refusal: HttpError | undefined;
  const failure = await receive(request.body, limits, (chunk) => {
    size += chunk.length;
    if (size > limits.bytes) refusal = tooLarge;
    else if (refusal === undefined && !share.take(chunk.length)) refusal = noRoom();
    if (refusal === undefined) {
      parts.push(decoder.decode(chunk, { stream: true }));
    } else {
      parts.length = 0;
      share[Symbol.dispose]();
    }
  });
  refusal ??= failure;
  if (refusal !== undefined) throw refusal;
  return parts.join("") + decoder.decode();
}

function noRoom(): HttpError {
  const message = "the bodies of the runs in flight take up all the memory that there is for them";
  return new HttpError(429, message, { "Retry-After": "1" });
}

/** Passes on what arrives until the body ends; resolves to what kept it from its end, if anything did. */
async function receive(
  body: ReadableStream<Uint8Array>,
  { clock, ms }: BodyLimits,
  take: (chunk: Uint8Array) => void,
): Promise<HttpError | undefined> {
  const tooSlow = new AbortController();
  const cancel = clock.after(ms, () => tooSlow.abort());
  try {
    await body.pipeTo(new WritableStream({ write: take }), { signal: tooSlow.signal });
  } catch {
    return tooSlow.signal.aborted
      ? new HttpError(408, `the body did not arrive within ${ms}ms`)
      : new HttpError(400, "the body ended early");
  } finally {
    cancel();
  }
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
