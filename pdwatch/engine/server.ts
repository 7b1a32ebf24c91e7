/** The HTTP interface, as a function from requests to responses. */

import type { Clock } from "./clock.ts";
import type { Logger } from "./mod.ts";
import {
  type BodyLimits,
  BodyMemory,
  type BodyShare,
  discardBody,
  HttpError,
  requestIdOf,
  runPayload,
  timeoutOf,
  webhookPayload,
} from "./payload.ts";
import { Busy, NotStarted, type RunOptions, type Runs } from "./runs.ts";
import type { Workflow } from "./workflow.ts";

export interface ServerParts {
  readonly workflow: Workflow;
  /** `sha256:…` of the sources that the image was built from; null when nobody said. */
  readonly sourceDigest: string | null;
  readonly runs: Pick<Runs, "start" | "draining">;
  readonly clock: Clock;
  readonly log: Logger;
  /** For a request that brings none. */
  readonly newRequestId: () => string;
  /** A longer request body is refused, */
  readonly maxBodyBytes?: number;
  /** and so is one that takes longer to arrive, in milliseconds. */
  readonly maxBodyMs?: number;
  /** Runs whose bodies would take up more together are refused. */
  readonly maxBodiesBytes?: number;
}

export type Handler = (request: Request) => Promise<Response>;

interface Route {
  readonly methods: readonly string[];
  readonly respond: (request: Request, requestId: string) => Response | Promise<Response>;
}

const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A pod's memory limit is 256 Mi by default, and a body is held as text and as a value (docs/engine.md). */
const MAX_BODIES_BYTES = 16 * 1024 * 1024;
/** A run in flight that never begins would take the place of one that does; within the grace period. */
const MAX_BODY_MS = 20_000;
const READ = ["GET", "HEAD"];
const WEBHOOK = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/**
 * Serves `/run`, `/health`, `/ready` and the workflow's webhook paths; never rejects. Every answer is JSON
 * and has the request's id in `X-Request-Id`. A webhook can't take a path that the engine itself serves.
 */
export function createHandler(parts: ServerParts): Handler {
  const limits = {
    clock: parts.clock,
    bytes: parts.maxBodyBytes ?? MAX_BODY_BYTES,
    ms: parts.maxBodyMs ?? MAX_BODY_MS,
  };
  const routes = routesOf(parts, limits);
  return async (request) => {
    const requestId = requestIdOf(request) ?? parts.newRequestId();
    const response = await respond(request, requestId, routes, parts.log);
    await discardBody(request, limits);
    response.headers.set("X-Request-Id", requestId);
    return response;
  };
}

async function respond(
  request: Request,
  requestId: string,
  routes: ReadonlyMap<string, Route>,
  log: Logger,
): Promise<Response> {
  try {
    return await routeOf(request, routes).respond(request, requestId);
  } catch (error) {
    if (error instanceof HttpError) return refusal(error.status, error.message, error.headers);
    if (error instanceof NotStarted) {
      return refusal(error instanceof Busy ? 429 : 503, error.message, { "Retry-After": "1" });
    }
    log.error("a request failed within the engine", { requestId, error });
    return refusal(500, "internal error");
  }
}

function refusal(status: number, message: string, headers?: HeadersInit): Response {
  return Response.json({ error: message }, { status, headers });
}

function routesOf(parts: ServerParts, limits: BodyLimits): Map<string, Route> {
  const { workflow, sourceDigest, runs } = parts;
  const { name, version, triggers } = workflow;
  const memory = new BodyMemory(parts.maxBodiesBytes ?? MAX_BODIES_BYTES);
  const run = async (
    trigger: string,
    read: (share: BodyShare) => Promise<unknown>,
    options: RunOptions,
  ): Promise<Response> => {
    using share = memory.share();
    const { id, result } = await runs.start(trigger, () => read(share), options);
    const status = result.success ? 200 : 500;
    return Response.json(result, { status, headers: { "X-Run-Id": id } });
  };
  const routes = new Map<string, Route>();
  for (const trigger of triggers) {
    if (trigger.type !== "webhook") continue;
    const path = pathOf(new URL(trigger.path, "http://localhost").href);
    routes.set(path, {
      methods: WEBHOOK,
      respond: (request, requestId) =>
        run(`webhook ${trigger.path}`, (share) => webhookPayload(request, limits, share), {
          requestId,
        }),
    });
  }
  routes.set("/run", {
    methods: ["GET", "POST"],
    respond: (request, requestId) => {
      const options = { requestId, timeoutMs: timeoutOf(request) };
      return run("manual", (share) => runPayload(request, limits, share), options);
    },
  });
  routes.set("/health", {
    methods: READ,
    respond: () => Response.json({ status: "ok", workflow: name, version, sourceDigest }),
  });
  routes.set("/ready", {
    methods: READ,
    respond: () =>
      runs.draining
        ? Response.json({ status: "draining" }, { status: 503 })
        : Response.json({ status: "ready" }),
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
