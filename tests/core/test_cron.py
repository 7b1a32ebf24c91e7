"""Cron schedules: what is said about wrong ones, and agreement with the engine and Deno, which run them."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import deno  # type: ignore[import-untyped]  # it has no stubs
import pytest

import pdwatch
from pdwatch.core.cron import cron_fault

ENGINE_CRON = Path(pdwatch.__file__).parent / "engine/cron.ts"
NEEDS_FIVE = "needs five fields: minute, hour, day of month, month, day of week"


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        ("0 9 * * MON-FRI", None),
        ("*/15 0,12 1 1-6/2 *", None),
        ("0\t9  * * *", None),
        ("0 0 L * *", None),
        ("0 0 LW * FRI#2", None),
        ("", f'"" {NEEDS_FIVE}'),
        ("@daily", f"@daily {NEEDS_FIVE}"),
        ("0 0 9 * * *", f'"0 0 9 * * *" {NEEDS_FIVE}'),
        (" 0 9 * * *", f'" 0 9 * * *" {NEEDS_FIVE}'),
        ("60 * * * *", "the minute 60 must be 0 to 59"),
        ("* 24 * * *", "the hour 24 must be 0 to 23"),
        ("* * 0 * *", "the day of month 0 must be 1 to 31"),
        ("* * * 13 *", "the month 13 must be 1 to 12 or JAN to DEC"),
        ("* * * january *", "the month january must be 1 to 12 or JAN to DEC"),
        ("0 9 * * 0,7", None),
        ("0 9 * * 1-5", None),
        ("10-99 * * * *", "the minute 10-99 must be 0 to 59"),
        ("* * * * 1,8", "the day of week 8 must be 0 to 7 or SUN to SAT"),
        ("? * * * *", 'the minute "?" must be 0 to 59'),
        ("*/0 * * * *", "the step 0 of the minute must be 1 to 59"),
        ("* 0/24 * * *", "the step 24 of the hour must be 1 to 23"),
        ("1,,2 * * * *", 'the minute "" must be 0 to 59'),
        ("*-5 * * * *", "the minute *-5 must be 0 to 59"),
        ("* * 1,L * *", "the day of month L must be 1 to 31"),
    ],
)
def test_a_wrong_schedule_is_explained(schedule: str, fault: str | None) -> None:
    assert cron_fault(schedule) == fault


ASK_DENO = """
const { withNamedWeekdays } = await import(Deno.args[0]);
const valid = [];
for (const schedule of JSON.parse(await new Response(Deno.stdin.readable).text())) {
  const job = new AbortController();
  try {
    const done = Deno.cron("job", withNamedWeekdays(schedule), { signal: job.signal }, () => {});
    job.abort();
    await done;
    valid.push(true);
  } catch (error) {
    if (!error.message.includes("Invalid cron schedule")) throw error;
    valid.push(false);
  }
}
console.log(JSON.stringify(valid));
"""


def schedules(count: int) -> list[str]:
    """Return schedules of which one field has the grammar's forms, and what comes close to them."""
    chosen = random.Random(2)
    numbers = [str(number) for number in (0, 1, 5, 7, 8, 11, 12, 13, 23, 24, 29, 30, 31, 32, 59, 60)]
    words = ["*", "00", "01", "001", "L", "l", "W", "LW", "JAN", "Dec", "SUN", "mon", "FRI", "?", "-1"]
    days = ["L-3", "L-0", "L-30", "L-31", "L-3W", "L-3w", "15W", "32W", "0W", "5L", "SUNL", "8L", "L5"]
    nth_days = ["5#2", "5#6", "FRI#1", "7#5", "*#1", "1#0", "1#02"]
    values = [*numbers, *words]

    def item() -> str:
        forms = ("{0}", "{0}-{1}", "{0}/{2}", "{0}-{1}/{2}", "{3}")
        return chosen.choice(forms).format(*map(chosen.choice, (values, values, numbers, [*days, *nth_days])))

    found = []
    for _ in range(count):
        fields = ["*"] * 5
        fields[chosen.randrange(5)] = ",".join(item() for _ in range(chosen.choice((1, 1, 1, 2))))
        found.append(" ".join(fields))
    return found


def test_deno_takes_exactly_the_schedules_that_are_valid() -> None:
    asked = schedules(3000)
    answer = subprocess.run(
        [deno.find_deno_bin(), "eval", "--unstable-cron", ASK_DENO, ENGINE_CRON.as_uri()],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    taken = json.loads(answer.stdout)
    assert 200 < sum(taken) < 2800
    assert [cron_fault(schedule) is None for schedule in asked] == taken
