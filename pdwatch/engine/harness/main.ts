/**
 * Runs the cases of a plan one after another, for `pdwatch test`:
 *
 *     deno run … harness/main.ts < plan.json
 *
 * Each case's outcome is one line on standard output: the plan's mark, a space, and JSON. It is no part of
 * any image.
 *
 * @module
 */

import { runIsolated } from "./isolated.ts";
import type { Plan } from "./plan.ts";

if (import.meta.main) {
  const { mark, directory, cases }: Plan = await new Response(Deno.stdin.readable).json();
  const workflow = await Deno.readTextFile(`${directory}/workflow.json`);
  for (const planned of cases) {
    const outcome = await runIsolated({ directory, workflow, planned });
    // On a line of its own, even where a node has written half a line.
    console.log(`\n${mark} ${JSON.stringify(outcome)}`);
  }
  // A worker that was ended in a loop without end may go on, and would keep this process from ending.
  Deno.exit(0);
}
