import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { type CronParts, scheduleTriggers, withNamedWeekdays } from "./cron.ts";
import { Busy } from "./runs.ts";
import { TestEnvironment } from "./testing/environment.ts";
import type { Trigger } from "./workflow.ts";

const NO_DAYS_BUT = "0 9 * *";
const weekdays: [string, string][] = [
  ["*", "*"],
  ["0", "SUN"],
  ["1", "MON"],
  ["7", "SUN"],
  ["05", "FRI"],
  ["01-05", "MON,TUE,WED,THU,FRI"],
  ["1-5", "MON,TUE,WED,THU,FRI"],
  ["0-6", "SUN,MON,TUE,WED,THU,FRI,SAT"],
  ["0-7", "SUN,MON,TUE,WED,THU,FRI,SAT"],
  ["5-7", "FRI,SAT,SUN"],
  ["6-1", "SAT,SUN,MON"],
  ["1-5/2", "MON,WED,FRI"],
  ["MON-FRI", "MON,TUE,WED,THU,FRI"],
  ["sat-tue", "SAT,SUN,MON,TUE"],
  ["1,3,FRI", "MON,WED,FRI"],
  ["*/2", "*/2"],
  ["1/2", "MON/2"],
  ["5#1", "FRI#1"],
  ["5L", "FRIL"],
  ["8", "8"],
  ["1-5/0", "1-5/0"],
  ["MON-FUNDAY", "MON-FUNDAY"],
];

for (const [given, named] of weekdays) {
  Deno.test(`weekday ${given} is ${named}`, () => {
    strictEqual(withNamedWeekdays(`${NO_DAYS_BUT} ${given}`), `${NO_DAYS_BUT} ${named}`);
  });
}

Deno.test("a schedule that does not have five fields is left for Deno to refuse", () => {
  strictEqual(withNamedWeekdays("0 0 9 * * 1"), "0 0 9 * * 1");
});

interface Job {
  name: string;
  schedule: string;
  run: () => Promise<void> | void;
}

const { log } = new TestEnvironment().node("");
const start = (): Promise<void> => Promise.resolve();

/** Stands in for `Deno.cron`, whose jobs come due at the full minute at the earliest. */
function jobsOf(triggers: readonly Trigger[], parts: Partial<CronParts>): Job[] {
  const jobs: Job[] = [];
  const cron = (
    name: string,
    schedule: string,
    _options: unknown,
    run: Job["run"],
  ): Promise<void> => {
    jobs.push({ name, schedule, run });
    return Promise.resolve();
  };
  const { signal } = new AbortController();
  scheduleTriggers(triggers, { cron: cron as typeof Deno.cron, start, signal, log, ...parts });
  return jobs;
}

Deno.test("each cron trigger becomes a job that starts the workflow, and no other trigger does", async () => {
  const started: string[] = [];
  const jobs = jobsOf([
    { type: "manual" },
    { type: "cron", schedule: "0 9 * * 1" },
    { type: "cron", schedule: "*/5 * * * *" },
  ], { start: (trigger) => Promise.resolve(void started.push(trigger)) });
  deepStrictEqual(jobs.map(({ name, schedule }) => [name, schedule]), [
    ["trigger 1", "0 9 * * MON"],
    ["trigger 2", "*/5 * * * *"],
  ]);
  for (const { run } of jobs) await run();
  deepStrictEqual(started, ["cron 0 9 * * 1", "cron */5 * * * *"]);
});

const refusals: [string, Error, string, string][] = [
  [
    "is full",
    new Busy(64),
    "warn",
    "skipped cron * * * * *: 64 runs are in flight, which is the limit",
  ],
  ["has a defect", new TypeError("bug"), "error", "cron * * * * * did not run"],
];

for (const [name, error, level, message] of refusals) {
  Deno.test(`a trigger that comes due while the engine ${name} is logged, and no more`, async () => {
    const environment = new TestEnvironment();
    const [{ run }] = jobsOf([{ type: "cron", schedule: "* * * * *" }], {
      start: () => Promise.reject(error),
      log: environment.node("").log,
    });
    await run();
    const [line] = environment.lines;
    deepStrictEqual([line.level, line.message], [level, message]);
  });
}

Deno.test("Deno itself takes what the weekdays were turned into", () => {
  for (const [, named] of weekdays.slice(0, -3)) {
    const end = new AbortController();
    const triggers = [{ type: "cron", schedule: `${NO_DAYS_BUT} ${named}` }] as const;
    scheduleTriggers(triggers, { cron: Deno.cron, start, log, signal: end.signal });
    end.abort();
  }
});

Deno.test("a schedule that Deno does not take is named", () => {
  const { signal } = new AbortController();
  throws(
    () =>
      scheduleTriggers([{ type: "cron", schedule: "at nine" }], {
        cron: Deno.cron,
        start,
        log,
        signal,
      }),
    {
      name: "StartError",
      message: 'triggers[0].schedule: "at nine" is not a cron schedule',
    },
  );
});

Deno.test("without --unstable-cron a cron trigger says what is missing", () => {
  const { signal } = new AbortController();
  const parts = { cron: undefined, start, log, signal };
  scheduleTriggers([{ type: "manual" }], parts);
  throws(() => scheduleTriggers([{ type: "cron", schedule: "0 9 * * *" }], parts), {
    name: "StartError",
    message: "a cron trigger needs Deno started with --unstable-cron",
  });
});
