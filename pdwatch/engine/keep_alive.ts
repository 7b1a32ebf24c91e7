/** Neither a node nor what the promises and timers that it leaves behind throw must end the engine. */

import type { Logger } from "./mod.ts";

/** Takes `Deno.exit` and `close` away from nodes, and logs what nothing catches. */
export function keepAlive(log: Logger): void {
  Deno.exit = globalThis.close = (): never => {
    throw new Error("a node can't end the engine; return, or throw an error");
  };
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("a promise was rejected that nothing waits for", event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    log.error("an error was thrown outside of any node's run", event.error);
  });
}
