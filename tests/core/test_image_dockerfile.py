from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pdwatch.core.dockerfile import dockerfile, entrypoint, labels
from pdwatch.core.model import Node, Trigger, WorkflowSpec

DIGEST = "sha256:" + "ab" * 32
BASE = "denoland/deno:distroless"


def spec(*, description: str | None = None, trigger: str = "manual") -> WorkflowSpec:
    schedule = "* * * * *" if trigger == "cron" else None
    return WorkflowSpec(
        name="hello",
        version="1.0",
        description=description,
        triggers=(Trigger(type=trigger, schedule=schedule),),  # type: ignore[arg-type]
        nodes=(Node(id="a", path="./nodes/a.ts"),),
    )


def instructions(text: str) -> list[str]:
    return [line.partition(" ")[0] for line in text.splitlines()]


def test_the_dockerfile_puts_first_what_changes_least() -> None:
    text = dockerfile(spec(), base=BASE, digest=DIGEST)
    assert [line for line in text.splitlines() if line.startswith("COPY")] == [
        "COPY .engine/ /",
        "COPY .dependencies/ /",
        "COPY .sources/ /",
    ]
    assert DIGEST not in text[: text.index("COPY .sources")]


def test_third_party_code_comes_after_the_engine_and_before_the_sources() -> None:
    text = dockerfile(spec(), base=BASE, digest=DIGEST, dependencies=["a:1", "b:2"])
    copied = [line for line in text.splitlines() if line.startswith("COPY")]
    assert copied[1:4] == ["COPY --from=a:1 / /", "COPY --from=b:2 / /", "COPY .dependencies/ /"]


def test_no_shell_is_used_and_the_user_is_not_root() -> None:
    text = dockerfile(spec(), base=BASE, digest=DIGEST)
    assert not {"RUN", "SHELL", "CMD", "ADD"} & set(instructions(text))
    assert "USER 65532:65532" in text.splitlines()
    assert json.loads(text[text.index("ENTRYPOINT ") + 11 :].splitlines()[0]) == list(entrypoint(spec()))


def test_the_engine_gets_no_more_rights_than_it_needs() -> None:
    command = entrypoint(spec())
    assert [flag for flag in command if flag.startswith("--allow")] == [
        "--allow-net",
        "--allow-read=/app",
        "--allow-write=/tmp",
    ]
    assert {"--no-prompt", "--cached-only", "--no-code-cache"} <= set(command)
    assert command[:3] == ["/tini", "--", "/bin/deno"]


@pytest.mark.parametrize(
    ("declared", "allowed"),
    [
        pytest.param([None], "--allow-net", id="nothing declared"),
        pytest.param([("a.example",), None], "--allow-net", id="a node that declares nothing"),
        pytest.param([()], "--allow-net=0.0.0.0:8080", id="a node that declares that it needs no host"),
        pytest.param(
            [("db:5432", "*.b.example"), ("a.example", "db:5432"), ()],
            "--allow-net=0.0.0.0:8080,*.b.example,a.example,db:5432",
            id="every node declares",
        ),
    ],
)
def test_the_network_is_narrowed_once_every_node_declares_its_hosts(
    declared: list[tuple[str, ...] | None], allowed: str
) -> None:
    nodes = tuple(Node(id=f"n{at}", path="./nodes/a.ts", net=net) for at, net in enumerate(declared))
    command = entrypoint(replace(spec(), nodes=nodes))
    assert [flag for flag in command if flag.startswith("--allow-net")] == [allowed]


def test_only_a_cron_trigger_asks_for_the_unstable_flag() -> None:
    assert "--unstable-cron" not in entrypoint(spec())
    assert "--unstable-cron" in entrypoint(spec(trigger="cron"))


def test_labels_are_those_of_oci_and_our_own() -> None:
    assert labels(spec(description="Says hello."), base=BASE, digest=DIGEST) == {
        "org.opencontainers.image.title": "hello",
        "org.opencontainers.image.description": "Says hello.",
        "org.opencontainers.image.version": "1.0",
        "org.opencontainers.image.base.name": BASE,
        "dev.pdwatch.workflow": "hello",
        "dev.pdwatch.source-digest": DIGEST,
    }


@pytest.mark.parametrize(
    ("description", "quoted"),
    [
        pytest.param('say "hi"', r'"say \"hi\""', id="quotes"),
        pytest.param("$HOME and ${HOME}", r'"\$HOME and \${HOME}"', id="variables"),
        pytest.param("back\\slash\\", r'"back\\slash\\"', id="backslashes"),
        pytest.param("two\nlines\r\n\tand a tab\0", '"two lines and a tab"', id="control characters"),
        pytest.param("größer → ✓", '"größer → ✓"', id="beyond ASCII"),
        pytest.param("x\u2028USER root", '"x USER root"', id="a line separator"),
    ],
)
def test_a_description_stays_one_quoted_word(description: str, quoted: str) -> None:
    text = dockerfile(spec(description=description), base=BASE, digest=DIGEST)
    assert f"org.opencontainers.image.description={quoted} " in text
    plain = dockerfile(spec(), base=BASE, digest=DIGEST)
    assert instructions(text) == instructions(plain)


def test_extra_labels_come_before_everything_that_makes_a_layer() -> None:
    text = dockerfile(spec(), base=BASE, digest=DIGEST, extra_labels={"key": "value"})
    assert text.splitlines()[:2] == [f"FROM {BASE}", 'LABEL key="value"']
