import { deepStrictEqual, throws } from "node:assert/strict";
import table from "../../tests/shared/graph-cases.json" with { type: "json" };
import { compileGraph, GraphError } from "./graph.ts";

for (const { name, nodes, edges, stages, problems } of table.cases) {
  Deno.test(`shared case: ${name}`, () => {
    if (problems === undefined) {
      deepStrictEqual(compileGraph(nodes, edges).stages, stages);
    } else {
      throws(() => compileGraph(nodes, edges), (error: GraphError) => {
        deepStrictEqual(error.problems, problems);
        return true;
      });
    }
  });
}

Deno.test("dependencies are sorted and distinct, and every node has an entry", () => {
  const edges = [
    { from: "c", to: "z" },
    { from: "a", to: "z" },
    { from: "c", to: "z" },
  ];
  deepStrictEqual([...compileGraph(["z", "c", "a"], edges).dependencies], [
    ["a", []],
    ["c", []],
    ["z", ["a", "c"]],
  ]);
});

Deno.test("the order in which nodes and edges are given changes nothing", () => {
  for (const { nodes, edges, stages } of table.cases) {
    if (stages === undefined) continue;
    deepStrictEqual(compileGraph(nodes.toReversed(), edges.toReversed()).stages, stages);
  }
});

Deno.test("a problem is said in words, each on a line of its own", () => {
  const edges = [
    { from: "a", to: "b" },
    { from: "b", to: "a" },
    { from: "ghost", to: "a" },
    { from: "c", to: "c" },
  ];
  throws(() => compileGraph(["a", "b", "c"], edges), {
    message: [
      "edges[2].from: there is no node ghost",
      "edges[3]: c depends on itself",
      "edges: nodes wait for one another: a → b → a",
    ].join("\n"),
  });
});

Deno.test("a chain of ten thousand nodes compiles without recursion", () => {
  const nodes = Array.from({ length: 10_000 }, (_, index) => `n${index}`);
  const edges = nodes.slice(1).map((to, index) => ({ from: nodes[index], to }));
  deepStrictEqual(compileGraph(nodes, edges).stages.length, nodes.length);
});
