/** A real engine in a process of its own, with the permissions that it has in an image. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ENGINE = fileURLToPath(new URL("..", import.meta.url));

export interface Stopped {
  readonly code: number;
  readonly stderr: string;
}

/**
 * Starts `main.ts` for the workflow in `directory`, where the engine's `deno.json` is written; `net` is what
 * the network is narrowed to.
 */
export async function spawnEngine(
  directory: string,
  args: readonly string[],
  net: readonly string[] = [],
): Promise<Deno.ChildProcess> {
  const config = join(directory, "deno.json");
  await Deno.writeTextFile(
    config,
    JSON.stringify({ imports: { pipedreamer: join(ENGINE, "mod.ts") } }),
  );
  return new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--no-lock",
      "--cached-only",
      "--unstable-cron",
      net.length === 0 ? "--allow-net" : `--allow-net=${net.join()}`,
      `--allow-read=${directory},${ENGINE},/app`,
      "--allow-write=/tmp",
      `--config=${config}`,
      join(ENGINE, "main.ts"),
      ...args,
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** An engine that listens; stopped, if it is not yet, when it goes out of scope. */
export class Engine implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #stderr: Promise<string>;
  #url = "";

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#lines = linesOf(process.stdout);
    this.#stderr = new Response(process.stderr).text();
  }

  static start(directory: string, ...args: readonly string[]): Promise<Engine> {
    return Engine.#start(directory, args);
  }

  /** Starts an engine that reaches `hosts` only. */
  static startNarrowed(directory: string, ...hosts: readonly string[]): Promise<Engine> {
    return Engine.#start(directory, [], ["0.0.0.0", ...hosts]);
  }

  static async #start(
    directory: string,
    args: readonly string[],
    net?: readonly string[],
  ): Promise<Engine> {
    const workflow = join(directory, "workflow.yaml");
    const all = ["--workflow", workflow, "--port", "0", ...args];
    const engine = new Engine(await spawnEngine(directory, all, net));
    const [{ port }] = (await engine.logged("listening")).args;
    engine.#url = `http://127.0.0.1:${port}`;
    return engine;
  }

  /** Reads the log up to the next line with this message. */
  // deno-lint-ignore no-explicit-any
  async logged(message: string): Promise<any> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`never logged "${message}": ${await this.#stderr}`);
      const line = JSON.parse(value);
      if (line.message === message) return line;
    }
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.#url + path, init);
  }

  /** Asks for a path and parses the answer. */
  // deno-lint-ignore no-explicit-any
  async ask(path: string, init?: RequestInit): Promise<[number, any]> {
    const response = await this.fetch(path, init);
    return [response.status, await response.json()];
  }

  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  async stopped(): Promise<Stopped> {
    while (!(await this.#lines.next()).done);
    return { code: (await this.#process.status).code, stderr: await this.#stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.signal("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has stopped by itself
    }
    await this.stopped();
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** A port that nobody listens on. */
export function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `${listener.addr.port}`;
}

/** A server that holds every request until the test lets it go. */
export class Gate implements AsyncDisposable {
  readonly #arrived = Promise.withResolvers<void>();
  readonly #open = Promise.withResolvers<void>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async () => {
      this.#arrived.resolve();
      await this.#open.promise;
      return new Response("go");
    },
  );

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** Resolves when the first request is being held. */
  arrived(): Promise<void> {
    return this.#arrived.promise;
  }

  open(): void {
    this.#open.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.open();
    await this.#server.shutdown();
  }
}
