/** Cron triggers, on `Deno.cron`. */

import { StartError } from "./errors.ts";
import type { Logger } from "./mod.ts";
import { NotStarted } from "./runs.ts";
import type { Trigger } from "./workflow.ts";

export interface CronParts {
  /** `Deno.cron`, which is undefined unless Deno was started with `--unstable-cron`. */
  readonly cron: typeof Deno.cron | undefined;
  /** Runs the workflow. */
  readonly start: (trigger: string) => Promise<unknown>;
  readonly log: Logger;
  /** Ends all schedules. */
  readonly signal: AbortSignal;
}

/**
 * Puts every cron trigger on its schedule, in UTC. A run that takes longer than the schedule's interval
 * makes the trigger skip a time; it never overlaps itself. So does a run that may not start.
 *
 * @throws {StartError} for a schedule that can't be read, or without `Deno.cron`.
 */
export function scheduleTriggers(triggers: readonly Trigger[], parts: CronParts): void {
  const { cron, signal } = parts;
  for (const [index, trigger] of triggers.entries()) {
    if (trigger.type !== "cron") continue;
    if (cron === undefined) {
      throw new StartError("a cron trigger needs Deno started with --unstable-cron");
    }
    const { schedule } = trigger;
    try {
      cron(
        `trigger ${index}`,
        withNamedWeekdays(schedule),
        { signal },
        () => startOrTell(`cron ${schedule}`, parts),
      );
    } catch {
      throw new StartError(`triggers[${index}].schedule: "${schedule}" is not a cron schedule`);
    }
  }
}

/** Never rejects: `Deno.cron` would start the run again, which retries have done already. */
async function startOrTell(trigger: string, { start, log }: CronParts): Promise<void> {
  try {
    await start(trigger);
  } catch (error) {
    if (error instanceof NotStarted) log.warn(`skipped ${trigger}: ${error.message}`);
    else log.error(`${trigger} did not run`, error);
  }
}

const WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/**
 * Names every weekday that a schedule gives by number or within a range. cron and Kubernetes count from
 * Sunday as 0 (or 7), `Deno.cron` counts from Sunday as 1 (denoland/deno#21555) and takes a range such as
 * SAT-TUE for every day; about single names all agree.
 */
export function withNamedWeekdays(schedule: string): string {
  const fields = schedule.trim().split(/\s+/);
  if (fields.length !== 5) return schedule;
  const weekdays = fields[4].split(",").map(nameWeekdays).join();
  return [...fields.slice(0, 4), weekdays].join(" ");
}

/** One item of a list: a day with what may follow it (`/2`, `#1`, `L`), a range, or anything else. */
function nameWeekdays(item: string): string {
  const range = /^(\w+)-(\w+)(?:\/0?([1-6]))?$/.exec(item);
  if (range === null) {
    return item.replace(/^0?[0-7](?=$|[/#L])/i, (day) => WEEKDAYS[Number(day) % 7]);
  }
  const [first, last] = [weekday(range[1]), weekday(range[2])];
  if (first === undefined || last === undefined) return item;
  const days = new Set<string>();
  const end = last < first ? last + 7 : last;
  for (let day = first; day <= end; day += Number(range[3] ?? 1)) days.add(WEEKDAYS[day % 7]);
  return [...days].join();
}

/** 0 to 7, or undefined for what is no weekday. */
function weekday(text: string): number | undefined {
  if (/^0?[0-7]$/.test(text)) return Number(text);
  const index = WEEKDAYS.indexOf(text.toUpperCase());
  return index < 0 ? undefined : index;
}
