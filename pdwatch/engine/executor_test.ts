import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { sleep } from "./clock.ts";
import { execute, type Program, type RunResult } from "./executor.ts";
import type { NodeFunction } from "./mod.ts";
import { programOf, TestEnvironment } from "./testing/environment.ts";

/** Says which node it is and what it got, after `ms` of virtual time. */
function echo(name: string, environment: TestEnvironment, ms = 0): NodeFunction {
  return async (_, input) => {
    await sleep(environment.clock, ms);
    return { [name]: input };
  };
}

function failing(message: string, environment: TestEnvironment, ms = 0): NodeFunction {
  return async () => {
    await sleep(environment.clock, ms);
    throw new Error(message);
  };
}

function run(
  program: Program,
  environment: TestEnvironment,
  payload: unknown = {},
): Promise<RunResult> {
  return environment.clock.until(execute(program, payload, environment));
}

Deno.test("the trigger's payload reaches every source, each with its own copy", async () => {
  const environment = new TestEnvironment();
  const append: NodeFunction = (_, input) => {
    (input as number[]).push(9);
    return Promise.resolve(input);
  };
  const { outputs } = await run(programOf({ a: append, b: append }), environment, [1]);
  deepStrictEqual(outputs, { a: [1, 9], b: [1, 9] });
});

Deno.test("one dependency gives its output, several an object keyed by node id", async () => {
  const environment = new TestEnvironment();
  const nodes = {
    start: echo("start", environment),
    left: echo("left", environment),
    right: echo("right", environment),
    join: echo("join", environment),
  };
  const program = programOf(nodes, ["start right", "start left", "right join", "left join"]);
  const { outputs, success } = await run(program, environment, { n: 1 });
  const start = { start: { n: 1 } };
  strictEqual(success, true);
  deepStrictEqual(outputs.join, { join: { left: { left: start }, right: { right: start } } });
  deepStrictEqual(Object.keys(outputs), ["start", "left", "right", "join"]);
});

Deno.test("what one node does to its input is not seen by its sibling, nor in the outputs", async () => {
  const environment = new TestEnvironment();
  const sort: NodeFunction = (_, input) => Promise.resolve((input as number[]).sort());
  const program = programOf({
    list: () => Promise.resolve([3, 1, 2]),
    sorted: sort,
    plain: (_, input) => Promise.resolve(input),
  }, ["list sorted", "list plain"]);
  const { outputs } = await run(program, environment);
  deepStrictEqual(outputs, { list: [3, 1, 2], plain: [3, 1, 2], sorted: [1, 2, 3] });
});

Deno.test("a node starts as soon as its own inputs are there", async () => {
  const environment = new TestEnvironment();
  const program = programOf({
    quick: echo("quick", environment, 10),
    slow: echo("slow", environment, 100),
    after: echo("after", environment, 5),
  }, ["quick after"]);
  const { timing } = await run(program, environment);
  strictEqual(timing.nodeTimings.after.startedAt, "1970-01-01T00:00:00.010Z");
  deepStrictEqual([timing.durationMs, timing.completedAt], [100, "1970-01-01T00:00:00.100Z"]);
});

Deno.test("a failure lets running nodes finish and starts nothing of a later stage", async () => {
  const environment = new TestEnvironment();
  const program = programOf({
    bad: failing("broken", environment, 10),
    good: echo("good", environment, 50),
    next: echo("next", environment),
  }, ["good next"]);
  const { success, outputs, errors, timing } = await run(program, environment);
  strictEqual(success, false);
  deepStrictEqual(outputs, { good: { good: {} } });
  deepStrictEqual(errors, { bad: "broken" });
  deepStrictEqual(Object.keys(timing.nodeTimings), ["bad", "good"]);
});

Deno.test("a node of a later stage that ran ahead of a failure is left out of the result", async () => {
  const environment = new TestEnvironment();
  const program = programOf({
    bad: failing("broken", environment, 50),
    quick: echo("quick", environment, 1),
    ahead: echo("ahead", environment, 1),
  }, ["quick ahead"]);
  const { outputs, errors, timing } = await run(program, environment);
  deepStrictEqual([Object.keys(outputs), errors], [["quick"], { bad: "broken" }]);
  strictEqual(timing.nodeTimings.ahead.durationMs, 1);
});

Deno.test("a run's time limit fails the nodes that still run, keeps what is done and starts nothing", async () => {
  const environment = new TestEnvironment();
  const program = programOf(
    {
      done: echo("done", environment, 10),
      hangs: () => new Promise(() => {}),
      retried: failing("broken", environment, 20),
      next: echo("next", environment),
    },
    ["done next", "hangs next"],
    { retries: 9 },
  );
  const result = await environment.clock.until(execute(program, {}, environment, 5000));
  deepStrictEqual([result.success, result.outputs], [false, { done: { done: {} } }]);
  const error = "the run timed out after 5000ms";
  deepStrictEqual(result.errors, { hangs: error, retried: error });
  strictEqual(result.timing.durationMs, 5000);
  deepStrictEqual(Object.keys(result.timing.nodeTimings), ["done", "hangs", "retried"]);
});

Deno.test("a run that is done in time leaves no timer", async () => {
  const environment = new TestEnvironment();
  const program = programOf({ a: echo("a", environment, 10) });
  const { success } = await environment.clock.until(execute(program, {}, environment, 5000));
  deepStrictEqual([success, environment.clock.pending], [true, 0]);
});

Deno.test("runs at the same time do not see one another", async () => {
  const environment = new TestEnvironment();
  const program = programOf({
    a: (_, input) => sleep(environment.clock, input as number).then(() => input),
    b: (_, input) => Promise.resolve(input),
  }, ["a b"]);
  const runs = [30, 20, 10].map((payload) => execute(program, payload, environment));
  const results = await environment.clock.until(Promise.all(runs));
  deepStrictEqual(results.map(({ outputs }) => outputs.b), [30, 20, 10]);
});

Deno.test("ids that name properties of every object are ids like any other", async () => {
  const environment = new TestEnvironment();
  const program = programOf({
    constructor: echo("c", environment),
    valueof: failing("no", environment),
  });
  const { outputs, errors } = await run(program, environment);
  deepStrictEqual(outputs, { constructor: { c: {} } });
  deepStrictEqual(errors, { valueof: "no" });
});

Deno.test("random graphs, durations and failures give what stage after stage gives", async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const environment = new TestEnvironment();
    const program = randomProgram(random(seed), environment);
    const { success, outputs, errors } = await run(program, environment, { seed });
    const expected = await environment.clock.until(stageByStage(program, { seed }, environment));
    deepStrictEqual({ success, outputs, errors }, expected, `seed ${seed}`);
  }
});

/** The oracle: no node of a stage starts before all of the stage before it are done. */
async function stageByStage(
  program: Program,
  payload: unknown,
  environment: TestEnvironment,
): Promise<Pick<RunResult, "success" | "outputs" | "errors">> {
  const outputs: Record<string, unknown> = {};
  const errors: Record<string, string> = {};
  for (const steps of program.stages) {
    const inputs = steps.map(({ dependencies }) =>
      dependencies.length === 0
        ? payload
        : dependencies.length === 1
        ? outputs[dependencies[0]]
        : Object.fromEntries(dependencies.map((id) => [id, outputs[id]]))
    );
    const context = environment.node("").context(new AbortController().signal);
    const settled = await Promise.allSettled(
      steps.map(({ run }, index) => run(context, inputs[index])),
    );
    settled.forEach((outcome, index) => {
      const { id } = steps[index];
      if (outcome.status === "fulfilled") outputs[id] = outcome.value;
      else errors[id] = outcome.reason.message;
    });
    if (Object.keys(errors).length > 0) return { success: false, outputs, errors };
  }
  return { success: true, outputs, errors };
}

/** Up to 12 nodes; each takes 0–9 ms and one in eight fails. */
function randomProgram(next: (below: number) => number, environment: TestEnvironment): Program {
  const ids = Array.from({ length: 1 + next(12) }, (_, index) => `n${index}`);
  const edges = ids.flatMap((to, index) =>
    ids.slice(0, index).filter(() => next(4) === 0).map((from) => `${from} ${to}`)
  );
  const nodes = ids.map((id) => {
    const make = next(8) === 0 ? failing : echo;
    return [id, make(id, environment, next(10))];
  });
  return programOf(Object.fromEntries(nodes), edges);
}

/** A small linear congruential generator: the same seed gives the same graph on every machine. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}
