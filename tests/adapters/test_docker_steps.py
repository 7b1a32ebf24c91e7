from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.adapters.docker.steps import BuildSteps

if TYPE_CHECKING:
    from collections.abc import Mapping

ID = "sha256:" + "ab" * 32


def field(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def trace(*parts: bytes) -> dict[str, object]:
    return {"id": "moby.buildkit.trace", "aux": base64.b64encode(b"".join(parts)).decode()}


def vertex(digest: str, name: str, *, started: bool = True, error: str = "") -> bytes:
    time = field(5, varint(1 << 3) + varint(1_700_000_000)) if started else b""
    return field(1, field(1, digest) + field(3, name) + time + (field(7, error) if error else b""))


def log(text: str) -> bytes:
    return field(3, field(1, "digest") + field(4, text))


def follow(*messages: Mapping[str, object]) -> tuple[BuildSteps, list[str]]:
    reported: list[str] = []
    steps = BuildSteps(reported.append)
    for message in messages:
        steps.take(message)
    return steps, reported


def test_the_classic_builders_lines_are_followed() -> None:
    steps, reported = follow(
        {"stream": "Step 1/2 : FROM x\n"},
        {"stream": " ---> 3b45c57acdaa\n"},
        {"stream": "Step 2/2 : RUN y\n"},
        {"stream": " ---> Running in 8512b3886b22\n"},
        {"stream": "\x1b[91mone\ntwo\n\x1b[0m"},
        {"stream": "Removing intermediate container 8512b3886b22\n"},
        {"aux": {"ID": ID}},
    )
    assert reported == ["Step 1/2 : FROM x", "Step 2/2 : RUN y"]
    assert steps.output == ("one", "two")
    assert steps.image_id == ID


def test_buildkits_traces_are_followed() -> None:
    steps, reported = follow(
        trace(vertex("a", "[internal] load metadata")),
        trace(vertex("b", "[1/2] FROM x", started=False)),
        trace(vertex("b", "[1/2] FROM x")),
        trace(vertex("b", "[1/2] FROM x")),
        trace(vertex("c", "[2/2] RUN y"), log("one\ntwo\n")),
        {"id": "moby.image.id", "aux": {"ID": ID}},
    )
    assert reported == ["[1/2] FROM x", "[2/2] RUN y"]
    assert steps.step == "[2/2] RUN y"
    assert steps.output == ("one", "two")
    assert steps.image_id == ID


def test_the_step_that_failed_is_named_even_when_another_started_later() -> None:
    steps, _ = follow(
        trace(vertex("a", "[1/3] COPY a /"), vertex("b", "[2/3] COPY b /")),
        trace(vertex("a", "[1/3] COPY a /", error="not found")),
    )
    assert steps.step == "[1/3] COPY a /"


def test_only_the_last_lines_are_kept() -> None:
    steps, _ = follow({"stream": "Step 1/1 : RUN x"}, *({"stream": f"{n}\n"} for n in range(1000)))
    assert steps.output == tuple(str(n) for n in range(980, 1000))


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"aux": None},
        {"aux": {"ID": 1}},
        {"stream": 1},
        {"id": "moby.buildkit.trace", "aux": "no base64!"},
        {"id": "moby.buildkit.trace", "aux": {}},
        {"id": "new.kind", "aux": "x"},
    ],
    ids=str,
)
def test_messages_of_an_unknown_kind_are_left_alone(message: dict[str, object]) -> None:
    steps, reported = follow(message)
    assert (steps.image_id, steps.step, reported) == (None, None, [])


@given(st.binary(max_size=200))
def test_no_trace_can_break_a_build(content: bytes) -> None:
    steps, _ = follow({"id": "moby.buildkit.trace", "aux": base64.b64encode(content).decode()})
    assert steps.image_id is None
