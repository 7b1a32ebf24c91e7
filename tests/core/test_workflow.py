"""workflow.yaml: what is said about every mistake, and what a valid file means."""
# ruff: noqa: E501  # the table has one case a line

from __future__ import annotations

import textwrap

import pytest

from pdwatch.core.model import DeploymentOptions, Edge, Node, Resources, Trigger, WorkflowSpec
from pdwatch.core.workflow import ParsedWorkflow, parse_workflow

FILES = ("nodes/a.ts", "nodes/b.ts", "nodes/summarize.ts", "prompts/hello.txt", "workflow.yaml", ".env.ts")

NAME = "name: hello\n"
VERSION = 'version: "1.0"\n'
TRIGGERS = "triggers: [{type: manual}]\n"
NODES = "nodes:\n  a: {path: ./nodes/a.ts}\n  b: {path: ./nodes/b.ts}\n"
HELLO = NAME + VERSION + TRIGGERS + NODES


def parsed(text: str) -> ParsedWorkflow:
    return parse_workflow(text.encode(), files=FILES)


def problems_of(text: str) -> list[str]:
    return [str(problem).removeprefix("workflow.yaml:") for problem in parsed(text).problems]


def spec_of(text: str) -> WorkflowSpec:
    workflow = parsed(text)
    assert workflow.problems == ()
    assert workflow.spec is not None
    return workflow.spec


GITHUB_DIGEST = """
    name: github-digest
    version: 1.10
    description: What happened yesterday
    triggers:
      - type: manual
      - {type: cron, schedule: "0 9 * * *"}
      - {type: webhook, path: /hooks/github}
    nodes:
      summarize: {path: nodes/../nodes/summarize.ts}
      a:
        path: ./nodes/a.ts
        config: {limit: 5, since: 2024-01-02, deep: {yes: [1.5, null, yes]}}
        capabilities: {net: ["api.github.com", "*.github.com:443", "api.github.com"]}
      b: {path: ./nodes/b.ts, capabilities: {net: db}}
    edges:
      - {from: a, to: summarize}
    config:
      timeout: 2m
      retries: 3
      include: ["prompts/*.txt", "./more/"]
    deployment:
      namespace: dev
      replicas: 0
      resources: {requests: {memory: 1Gi, ephemeral-storage: 1e6}, limits: {memory: 2048Mi, cpu: 1}}
"""


def test_a_full_workflow_is_read_as_written() -> None:
    assert spec_of(textwrap.dedent(GITHUB_DIGEST)) == WorkflowSpec(
        name="github-digest",
        version="1.10",
        description="What happened yesterday",
        triggers=(
            Trigger(type="manual"),
            Trigger(type="cron", schedule="0 9 * * *"),
            Trigger(type="webhook", path="/hooks/github"),
        ),
        nodes=(
            Node(
                id="a",
                path="./nodes/a.ts",
                config={"limit": 5, "since": "2024-01-02", "deep": {"yes": [1.5, None, "yes"]}},
                net=("api.github.com", "*.github.com:443"),
            ),
            Node(id="b", path="./nodes/b.ts", net=("db",)),
            Node(id="summarize", path="nodes/../nodes/summarize.ts"),
        ),
        edges=(Edge(source="a", target="summarize"),),
        timeout_ms=120_000,
        retries=3,
        include=("prompts/*.txt", "./more/"),
        deployment=DeploymentOptions(
            namespace="dev",
            replicas=0,
            resources=Resources(
                requests={"memory": "1Gi", "cpu": "100m", "ephemeral-storage": "1e6"},
                limits={"memory": "2048Mi", "cpu": "1"},
            ),
        ),
    )


def test_what_is_left_out_takes_its_default() -> None:
    assert spec_of(HELLO) == WorkflowSpec(
        name="hello",
        version="1.0",
        triggers=(Trigger(type="manual"),),
        nodes=(Node(id="a", path="./nodes/a.ts"), Node(id="b", path="./nodes/b.ts")),
        timeout_ms=30_000,
        retries=0,
        deployment=DeploymentOptions(
            replicas=1,
            resources=Resources(
                requests={"memory": "64Mi", "cpu": "100m"}, limits={"memory": "256Mi", "cpu": "500m"}
            ),
        ),
    )


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("description:\nedges:\nconfig:\ndeployment:\n", id="sections without a value"),
        pytest.param(
            "config: {timeout: , retries: , include: }\ndeployment: {namespace: , replicas: , resources: }\n",
            id="keys without a value",
        ),
        pytest.param(
            "deployment: {resources: {requests: , limits: {memory: }}}\n", id="amounts without a value"
        ),
        pytest.param("edges: []\nconfig: {}\ndeployment: {resources: {}}\n", id="empty sections"),
        pytest.param("x-team: {lead: ann}\nconfig: {x-why: y}\n", id="keys of the author's own"),
    ],
)
def test_what_says_nothing_counts_as_left_out(more: str) -> None:
    assert spec_of(HELLO + more) == spec_of(HELLO)


@pytest.mark.parametrize("version", ["1.0", "1.10", "10.20.30", "2024.01", "1.0.0"])
def test_a_version_stays_as_written_with_and_without_quotes(version: str) -> None:
    assert spec_of(NAME + f"version: {version}\n" + TRIGGERS + NODES).version == version
    assert spec_of(NAME + f"version: '{version}'\n" + TRIGGERS + NODES).version == version


@pytest.mark.parametrize(
    ("timeout", "milliseconds"), [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("007s", 7000)]
)
def test_a_timeout_is_a_number_and_a_unit(timeout: str, milliseconds: int) -> None:
    assert spec_of(HELLO + f"config: {{timeout: {timeout}}}").timeout_ms == milliseconds


def test_a_default_request_gives_way_to_a_smaller_limit() -> None:
    resources = spec_of(HELLO + "deployment: {resources: {limits: {memory: 32Mi}}}").deployment.resources
    assert resources.requests == {"memory": "32Mi", "cpu": "100m"}


def test_yaml_anchors_and_merge_keys_work() -> None:
    nodes = "nodes: {a: &a {path: ./nodes/a.ts, config: {n: 1}}, b: {<<: *a, path: ./nodes/b.ts}}\n"
    assert [node.config for node in spec_of(NAME + VERSION + TRIGGERS + nodes).nodes] == [{"n": 1}, {"n": 1}]


KEBAB = "must be kebab-case: a lower-case letter, then a-z, 0-9 and single hyphens"
MODULE = "must be a .ts or .js module below the workflow's directory"
HOST = "must be a host such as api.github.com, *.github.com or db:5432, without https:// and path"
GLOB = "must be a glob below the workflow's directory, such as prompts/*.txt"
URL_PATH = "must be the path of a URL: it begins with / and has no spaces, ? or #"
BYTES = "must be an amount of bytes as in Kubernetes, such as 64Mi or 1Gi"
CPUS = "must be a number of CPUs as in Kubernetes, such as 0.5 or 500m"
KEYS = "config, deployment, description, edges, name, nodes, triggers, version, x-…"
NODE_ID = "must be a lower-case letter, then a-z, 0-9, - and _"


def node(text: str) -> str:
    """Return a workflow whose only node, on line 4 from column 11, is ``text``."""
    return NAME + VERSION + TRIGGERS + f"nodes: {{a: {text}}}\n"


def trigger(text: str) -> str:
    """Return a workflow whose only trigger, on line 3 from column 12, is ``text``."""
    return NAME + VERSION + f"triggers: [{text}]\n" + NODES


MISTAKES = (
    # The whole
    ("- a", "1:1: must be a mapping, not a list"),
    ("hello", "1:1: must be a mapping, not text"),
    ("~", "1:1: has no value"),
    (HELLO + "nme: x", "7:1: nme: is not a known key; did you mean name?"),
    (HELLO + "banana: x", f"7:1: banana: is not a known key; known are {KEYS}"),
    (HELLO + "'a b': x", f'7:1: "a b": is not a known key; known are {KEYS}'),
    (HELLO + "name: again", "7:1: name is already on line 1; remove one of them"),
    (HELLO + "description: [x]", "7:14: description: must be text, not a list"),
    (HELLO + "description: 7", "7:14: description: must be text, not a whole number; put it in quotes"),
    # name
    (VERSION + TRIGGERS + NODES, '1:1: name: is missing; for example name: "github-digest"'),
    ("nmae: hello\n" + VERSION + TRIGGERS + NODES, "1:1: nmae: is not a known key; did you mean name?"),
    ("name:\n" + VERSION + TRIGGERS + NODES, '1:6: name: has no value; for example name: "github-digest"'),
    ("name: Hello\n" + VERSION + TRIGGERS + NODES, f"1:7: name: Hello {KEBAB}"),
    ("name: hello world\n" + VERSION + TRIGGERS + NODES, f'1:7: name: "hello world" {KEBAB}'),
    ("name: a--b\n" + VERSION + TRIGGERS + NODES, f"1:7: name: a--b {KEBAB}"),
    ("name: a-\n" + VERSION + TRIGGERS + NODES, f"1:7: name: a- {KEBAB}"),
    ("name: 7up\n" + VERSION + TRIGGERS + NODES, f"1:7: name: 7up {KEBAB}"),
    ("name: |\n  hello\n" + VERSION + TRIGGERS + NODES, f'1:7: name: "hello\\n" {KEBAB}'),
    ("name: true\n" + VERSION + TRIGGERS + NODES, "1:7: name: must be text, not true or false; put it in quotes"),
    ("name: [a]\n" + VERSION + TRIGGERS + NODES, "1:7: name: must be text, not a list"),
    (f"name: {'x' * 64}\n" + VERSION + TRIGGERS + NODES, "1:7: name: has 64 characters; 63 is the limit"),
    # version
    (NAME + TRIGGERS + NODES, '1:1: version: is missing; for example version: "1.0"'),
    (NAME + "version: 1\n" + TRIGGERS + NODES, "2:10: version: 1 must be MAJOR.MINOR or MAJOR.MINOR.PATCH, such as 1.0"),
    (NAME + "version: v1.0\n" + TRIGGERS + NODES, "2:10: version: v1.0 must be MAJOR.MINOR or MAJOR.MINOR.PATCH, such as 1.0"),
    (NAME + "version: 1.0-rc1\n" + TRIGGERS + NODES, "2:10: version: 1.0-rc1 must be MAJOR.MINOR or MAJOR.MINOR.PATCH, such as 1.0"),
    # triggers
    (NAME + VERSION + NODES, '1:1: triggers: is missing; for example triggers: [{"type": "manual"}]'),
    (NAME + VERSION + "triggers: []\n" + NODES, '3:11: triggers: is empty, but needs at least one; for example triggers: [{"type": "manual"}]'),
    (NAME + VERSION + "triggers: manual\n" + NODES, "3:11: triggers: must be a list, not text"),
    (trigger("manual"), "3:12: triggers[0]: must be a mapping, not text"),
    (trigger(""), '3:11: triggers: is empty, but needs at least one; for example triggers: [{"type": "manual"}]'),
    (trigger("{}"), '3:12: triggers[0].type: is missing; for example type: "manual"'),
    (trigger("{tpye: cron}"), "3:13: triggers[0].tpye: is not a known key; did you mean type?"),
    (trigger("{type: corn}"), "3:19: triggers[0].type: corn must be manual, cron or webhook; did you mean cron?"),
    (trigger("{type: 7}"), "3:19: triggers[0].type: must be text, not a whole number; put it in quotes"),
    (trigger("{type: [cron]}"), "3:19: triggers[0].type: must be text, not a list"),
    (trigger("{type: cron}"), '3:12: triggers[0].schedule: is missing; for example schedule: "0 9 * * MON-FRI"'),
    (trigger("{type: cron, schedule: 61 9 * * *}"), "3:35: triggers[0].schedule: the minute 61 must be 0 to 59"),
    (trigger("{type: manual, schedule: 0 9 * * *}"), "3:27: triggers[0].schedule: is not a known key; known are type, x-…"),
    (trigger("{type: webhook}"), '3:12: triggers[0].path: is missing; for example path: "/hooks/github"'),
    (trigger("{type: webhook, path: hooks}"), f"3:34: triggers[0].path: hooks {URL_PATH}"),
    (trigger("{type: webhook, path: '/a b'}"), f'3:34: triggers[0].path: "/a b" {URL_PATH}'),
    (trigger("{type: webhook, path: '/a?b'}"), f'3:34: triggers[0].path: "/a?b" {URL_PATH}'),
    (trigger("{type: webhook, path: /a/../b}"), "3:34: triggers[0].path: /a/../b has a segment . or .., which clients resolve before they send it"),
    (trigger("{type: webhook, path: /%2E}"), "3:34: triggers[0].path: /%2E has a segment . or .., which clients resolve before they send it"),
    (trigger("{type: webhook, path: /health}"), "3:34: triggers[0].path: /health is served by the engine itself; choose another path, such as /hooks/health"),
    (trigger("{type: manual}, {type: webhook, path: /x}, {type: webhook, path: /x}"), "3:77: triggers[2].path: /x is already the path of triggers[1]; choose another"),
    # nodes
    (NAME + VERSION + TRIGGERS, '1:1: nodes: is missing; for example nodes: {"greet": {"path": "./nodes/greet.ts"}}'),
    (NAME + VERSION + TRIGGERS + "nodes: {}", '4:8: nodes: is empty, but needs at least one; for example nodes: {"greet": {"path": "./nodes/greet.ts"}}'),
    (NAME + VERSION + TRIGGERS + "nodes: [a]", "4:8: nodes: must be a mapping, not a list"),
    (NAME + VERSION + TRIGGERS + "nodes: {A: {path: nodes/a.ts}}", f"4:9: nodes.A: A {NODE_ID}"),
    (NAME + VERSION + TRIGGERS + "nodes: {__proto__: {path: nodes/a.ts}}", f"4:9: nodes.__proto__: __proto__ {NODE_ID}"),
    (NAME + VERSION + TRIGGERS + "nodes: {a: }", '4:12: nodes.a: has no value; for example a: {"path": "./nodes/greet.ts"}'),
    (NAME + VERSION + TRIGGERS + "nodes: {a: nodes/a.ts}", "4:12: nodes.a: must be a mapping, not text"),
    (node("{}"), '4:12: nodes.a.path: is missing; for example path: "./nodes/greet.ts"'),
    (node("{path: ./nodes/sumarize.ts}"), "4:19: nodes.a.path: ./nodes/sumarize.ts does not exist; did you mean ./nodes/summarize.ts?"),
    (node("{path: nodes/sumarize.ts}"), "4:19: nodes.a.path: nodes/sumarize.ts does not exist; did you mean nodes/summarize.ts?"),
    (node("{path: ./elsewhere/entirely.ts}"), "4:19: nodes.a.path: ./elsewhere/entirely.ts does not exist"),
    (node("{path: nodes}"), f"4:19: nodes.a.path: nodes {MODULE}"),
    (node("{path: nodes/a.py}"), f"4:19: nodes.a.path: nodes/a.py {MODULE}"),
    (node("{path: /nodes/a.ts}"), f"4:19: nodes.a.path: /nodes/a.ts {MODULE}"),
    (node("{path: ../nodes/a.ts}"), "4:19: nodes.a.path: ../nodes/a.ts leaves the workflow's directory; move the file into it"),
    (node("{path: nodes/../../a.ts}"), "4:19: nodes.a.path: nodes/../../a.ts leaves the workflow's directory; move the file into it"),
    (node("{path: vendor/a.ts}"), "4:19: nodes.a.path: vendor/a.ts is no place for a node; move the file, for example to nodes/"),
    (node("{path: .env.ts}"), "4:19: nodes.a.path: .env.ts is no place for a node; move the file, for example to nodes/"),
    (node("{path: nodes/a.ts, conifg: {}}"), "4:31: nodes.a.conifg: is not a known key; did you mean config?"),
    (node("{path: nodes/a.ts, config: [1]}"), "4:39: nodes.a.config: must be a mapping, not a list"),
    (node("{path: nodes/a.ts, config: {n: .nan}}"), "4:43: .nan is no number in JSON; quote it"),
    (node("{path: nodes/a.ts, capabilities: {nte: x}}"), "4:46: nodes.a.capabilities.nte: is not a known key; did you mean net?"),
    (node("{path: nodes/a.ts, capabilities: {net: 'https://a.com'}}"), f"4:51: nodes.a.capabilities.net: https://a.com {HOST}"),
    (node("{path: nodes/a.ts, capabilities: {net: [a.com/x]}}"), f"4:52: nodes.a.capabilities.net[0]: a.com/x {HOST}"),
    (node("{path: nodes/a.ts, capabilities: {net: '*'}}"), f"4:51: nodes.a.capabilities.net: * {HOST}"),
    (node("{path: nodes/a.ts, capabilities: {net: 'a.com:0'}}"), "4:51: nodes.a.capabilities.net: the port of a.com:0 must be 1 to 65535"),
    (node("{path: nodes/a.ts, capabilities: {net: {a: b}}}"), "4:51: nodes.a.capabilities.net: must be text or a list, not a mapping"),
    # edges
    (HELLO + "edges: {from: a, to: b}", "7:8: edges: must be a list, not a mapping"),
    (HELLO + "edges: [a]", "7:9: edges[0]: must be a mapping, not text"),
    (HELLO + "edges: [{from: a}]", '7:9: edges[0].to: is missing; for example to: "greet"'),
    (HELLO + "edges: [{form: a, to: b}]", "7:10: edges[0].form: is not a known key; did you mean from?"),
    (HELLO + "edges: [{from: a, to: c}]", "7:23: edges[0].to: there is no node c"),
    (HELLO + "edges: [{from: a, to: a}]", "7:9: edges[0]: a can't depend on itself; remove this edge"),
    (HELLO + "edges:\n- {from: b, to: a}\n- {from: a, to: b}", "9:3: edges[1]: a → b → a is a cycle; remove one of its edges"),
    # config
    (HELLO + "config: {timout: 3s}", "7:10: config.timout: is not a known key; did you mean timeout?"),
    (HELLO + "config: {timeout: 30}", "7:19: config.timeout: 30 must be a whole number and a unit, ms, s or m, such as 30s"),
    (HELLO + "config: {timeout: 1.5s}", "7:19: config.timeout: 1.5s must be a whole number and a unit, ms, s or m, such as 30s"),
    (HELLO + "config: {timeout: 0s}", "7:19: config.timeout: 0s must be more than 0 and at most 35791m"),
    (HELLO + "config: {timeout: 35792m}", "7:19: config.timeout: 35792m must be more than 0 and at most 35791m"),
    (HELLO + "config: {retries: -1}", "7:19: config.retries: -1 must be from 0 to 20"),
    (HELLO + "config: {retries: 21}", "7:19: config.retries: 21 must be from 0 to 20"),
    (HELLO + "config: {retries: 1.5}", "7:19: config.retries: must be a whole number, not a decimal number"),
    (HELLO + "config: {retries: '1'}", "7:19: config.retries: must be a whole number, not text"),
    (HELLO + "config: {include: prompts/*.txt}", "7:19: config.include: must be a list, not text"),
    (HELLO + "config: {include: [/etc/passwd]}", f"7:20: config.include[0]: /etc/passwd {GLOB}"),
    (HELLO + "config: {include: [a/../b]}", f"7:20: config.include[0]: a/../b {GLOB}"),
    (HELLO + "config: {include: ['..']}", f"7:20: config.include[0]: .. {GLOB}"),
    (HELLO + "config: {include: ['']}", f'7:20: config.include[0]: "" {GLOB}'),
    # deployment
    (HELLO + "deployment: {namespace: Dev}", "7:25: deployment.namespace: Dev must be a namespace's name: lower-case letters, digits and hyphens"),
    (HELLO + "deployment: {replicas: -1}", "7:24: deployment.replicas: -1 must be from 0 to 2147483647"),
    (HELLO + "deployment: {replcas: 1}", "7:14: deployment.replcas: is not a known key; did you mean replicas?"),
    (HELLO + "deployment: {resources: {requests: {gpu: 1}}}", "7:37: deployment.resources.requests.gpu: is not a known key; did you mean cpu?"),
    (HELLO + "deployment: {resources: {requests: {memory: 64MB}}}", f"7:45: deployment.resources.requests.memory: 64MB {BYTES}"),
    (HELLO + "deployment: {resources: {limits: {memory: 100m}}}", f"7:43: deployment.resources.limits.memory: 100m {BYTES}"),
    (HELLO + "deployment: {resources: {requests: {cpu: -1}}}", f"7:42: deployment.resources.requests.cpu: -1 {CPUS}"),
    (HELLO + "deployment: {resources: {limits: {memory: 9e99}}}", "7:43: deployment.resources.limits.memory: 9e99 is more than Kubernetes can hold"),
    (HELLO + "deployment: {resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}}", "7:42: deployment.resources.requests.cpu: 2 is more than the limit of 1500m"),
    (HELLO + "deployment: {resources: {requests: {memory: 1Gi}}}", "7:45: deployment.resources.requests.memory: 1Gi is more than the limit of 256Mi, the default; set limits.memory too"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"), [pytest.param(text, problem, id=problem) for text, problem in MISTAKES]
)
def test_a_mistake_is_named_with_its_place_and_a_way_out(text: str, problem: str) -> None:
    assert problems_of(text) == [problem]


EVERYTHING_AT_ONCE = """\
name: Hello
triggers:
  - {type: corn}
  - {type: webhook, path: /run}
nodes:
  a: {path: ./nodes/aa.ts}
  b: {path: ./nodes/b.ts, x: 1}
  b: {path: ./nodes/b.ts}
edges:
  - {from: a, to: b}
  - {from: b, to: a}
  - {from: c, to: a}
config: {timeout: 30}
deployment: {resources: {requests: {cpu: 9}}}
"""


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    assert problems_of(EVERYTHING_AT_ONCE) == [
        '1:1: version: is missing; for example version: "1.0"',
        f"1:7: name: Hello {KEBAB}",
        "3:12: triggers[0].type: corn must be manual, cron or webhook; did you mean cron?",
        "4:27: triggers[1].path: /run is served by the engine itself; choose another path, such as /hooks/run",
        "6:13: nodes.a.path: ./nodes/aa.ts does not exist; did you mean ./nodes/a.ts?",
        "7:27: nodes.b.x: is not a known key; known are capabilities, config, path, x-…",
        "8:3: b is already on line 7; remove one of them",
        "11:5: edges[1]: a → b → a is a cycle; remove one of its edges",
        "12:12: edges[2].from: there is no node c",
        "13:19: config.timeout: 30 must be a whole number and a unit, ms, s or m, such as 30s",
        "14:42: deployment.resources.requests.cpu: 9 is more than the limit of 500m, the default; set limits.cpu too",
    ]


def test_more_nodes_than_the_limit_are_one_problem() -> None:
    nodes = "".join(f"  n{number}: {{path: ./nodes/missing.ts}}\n" for number in range(1001))
    text = NAME + VERSION + TRIGGERS + "nodes:\n" + nodes
    assert problems_of(text) == ["5:3: nodes: has 1001 entries; 1000 is the limit"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(HELLO, "hello", id="valid"),
        pytest.param("name: Hello World", "Hello World", id="not kebab-case"),
        pytest.param("name: 7", "7", id="a number"),
        pytest.param("name: hello\nnodes: [", "hello", id="broken elsewhere"),
        pytest.param("name: 'hello'\n\tx", "hello", id="quoted, broken elsewhere"),
        pytest.param("name: hello\n---\nname: other", "hello", id="two documents"),
        pytest.param("name:", None, id="no value"),
        pytest.param("name: ''", None, id="empty"),
        pytest.param("name: [hello]", None, id="a list"),
        pytest.param("- name: hello", None, id="not a mapping"),
        pytest.param("nodes: [\nname: &", None, id="broken in the name"),
        pytest.param("", None, id="empty file"),
    ],
)
def test_the_name_is_known_as_far_as_it_can_be_read(text: str, name: str | None) -> None:
    assert parsed(text).name == name
