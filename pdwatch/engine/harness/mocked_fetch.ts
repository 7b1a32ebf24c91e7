/** `fetch` that reaches no network: it gives the answers of a fixture. */

import type { Answer, Outcome } from "./plan.ts";

export class MockedFetch {
  readonly #answers: readonly (Answer & { readonly pattern: RegExp })[];
  readonly used: number[];
  readonly unmocked: Outcome["unmocked"][number][] = [];

  constructor(answers: readonly Answer[]) {
    this.#answers = answers.map((answer) => ({ ...answer, pattern: patternOf(answer.url) }));
    this.used = answers.map(() => 0);
  }

  /** Gives the first answer that fits and has not been used up. */
  readonly fetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    await request.arrayBuffer(); // a stream that fails to be sent fails here, too
    const { method, url } = request;
    const index = this.#answers.findIndex((answer, index) =>
      fits(answer, method, url) && (answer.repeat || this.used[index] === 0)
    );
    if (index < 0) {
      this.unmocked.push({ method, url });
      throw new TypeError(`no mock answers ${method} ${url}`);
    }
    this.used[index]++;
    return responseOf(this.#answers[index], url);
  };
}

/** A pattern is written as a URL is, and compared with what a Request makes of one. */
function patternOf(url: string): RegExp {
  if (!URL.canParse(url)) throw new TypeError(`fetch: ${url} is not a URL`);
  return new RegExp(`^${new URL(url).href.split("*").map(RegExp.escape).join(".*")}$`, "s");
}

function fits(
  { url, method, pattern }: Answer & { pattern: RegExp },
  asked: string,
  at: string,
): boolean {
  const { href, origin, pathname } = new URL(at);
  const compared = url.includes("?") ? href.replace(/#.*$/s, "") : origin + pathname;
  return (method === null || method === asked) && pattern.test(compared);
}

function responseOf({ status, headers, body, error }: Answer, url: string): Response {
  if (error !== null) throw new TypeError(error);
  const response = new Response(body === "" ? null : body, { status, headers });
  return Object.defineProperty(response, "url", { value: url });
}
