/** The HTTP interface, as a function from requests to responses. */

import { Draining, type Runs } from "./runs.ts";
import type { Workflow } from "./workflow.ts";

export interface ServerParts {
  readonly workflow: Workflow;
  /** `sha256:…` of the sources that the image was built from; null when nobody said. */
  readonly sourceDigest: string | null;
  readonly runs: Pick<Runs, "start" | "draining">;
  /** A longer request body is refused. */
  readonly maxBodyBytes?: number;
}

export type Handler = (request: Request) => Promise<Response>;

interface Route {
  readonly methods: readonly string[];
  readonly respond: Handler;
}

/** A pod's memory limit is 256 Mi by default, and a body is held as bytes, as text and as a value. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const READ = ["GET", "HEAD"];
const WEBHOOK = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** An answer other than success, as `{"error": message}`. */
class HttpError extends Error {
  constructor(readonly status: number, message: string, readonly headers: HeadersInit = {}) {
    super(message);
  }
}

/**
 * Serves `/run`, `/health`, `/ready` and the workflow's webhook paths; every answer is JSON. A webhook
 * can't take a path that the engine itself serves.
 */
export function createHandler(parts: ServerParts): Handler {
  const routes = routesOf(parts);
  return async (request) => {
    try {
      return await routeOf(request, routes).respond(request);
    } catch (error) {
      return errorResponse(error);
    }
  };
}

function routesOf(parts: ServerParts): Map<string, Route> {
  const { workflow, sourceDigest, runs } = parts;
  const { name, version, triggers } = workflow;
  const limit = parts.maxBodyBytes ?? MAX_BODY_BYTES;
  const run = async (trigger: string, payload: unknown): Promise<Response> => {
    const { id, result } = await runs.start(trigger, payload);
    return Response.json(result, {
      status: result.success ? 200 : 500,
      headers: { "X-Run-Id": id },
    });
  };
  const routes = new Map<string, Route>();
  for (const trigger of triggers) {
    if (trigger.type !== "webhook") continue;
    const path = pathOf(new URL(trigger.path, "http://localhost").href);
    const respond: Handler = async (request) =>
      run(`webhook ${trigger.path}`, await webhookPayload(request, limit));
    routes.set(path, { methods: WEBHOOK, respond });
  }
  routes.set("/run", {
    methods: ["GET", "POST"],
    respond: async (request) => run("manual", await runPayload(request, limit)),
  });
  routes.set("/health", {
    methods: READ,
    respond: () => reply({ status: "ok", workflow: name, version, sourceDigest }),
  });
  routes.set("/ready", {
    methods: READ,
    respond: () => runs.draining ? reply({ status: "draining" }, 503) : reply({ status: "ready" }),
  });
  return routes;
}

function routeOf(request: Request, routes: ReadonlyMap<string, Route>): Route {
  const path = pathOf(request.url);
  const route = routes.get(path);
  if (route === undefined) throw new HttpError(404, `nothing is served at ${path}`);
  if (!route.methods.includes(request.method)) {
    const allowed = route.methods.join(", ");
    throw new HttpError(405, `${path} takes ${allowed}, not ${request.method}`, { Allow: allowed });
  }
  return route;
}

function pathOf(url: string): string {
  return new URL(url).pathname;
}

/** The JSON body, or `{}` when there is none. */
async function runPayload(request: Request, limit: number): Promise<unknown> {
  const text = await readText(request, limit);
  if (text === "") return {};
  const type = request.headers.get("Content-Type");
  if (type !== null && !isJson(type)) {
    throw new HttpError(415, `the body must be JSON, sent as application/json and not as ${type}`);
  }
  return parseJson(text);
}

/**
 * The whole request; a JSON body is parsed, any other is text, none is null. `rawBody` is the text as it
 * came, which is what senders sign.
 */
async function webhookPayload(request: Request, limit: number): Promise<unknown> {
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
  if (size > limit) throw new HttpError(413, `the body is larger than ${limit} bytes`);
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

function errorResponse(error: unknown): Response {
  if (error instanceof Draining) {
    return Response.json({ error: "the engine is stopping" }, {
      status: 503,
      headers: { "Retry-After": "1" },
    });
  }
  if (!(error instanceof HttpError)) throw error;
  const { message, status, headers } = error;
  return Response.json({ error: message }, { status, headers });
}

function reply(body: unknown, status = 200): Promise<Response> {
  return Promise.resolve(Response.json(body, { status }));
}
