from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from pdwatch.core.build_context import ContextDirectory, ContextEntry, ContextFile
from pdwatch.core.model import SourceFile
from pdwatch.core.names import IMAGE_PARENT_LABEL
from pdwatch.core.parent_image import (
    dialect_of,
    is_parent,
    parent_digest,
    parent_reference,
    split_sources,
)
from pdwatch.core.tar_header import DIALECTS, END, PLAIN, TarDialect, header, padded

BASE: dict[str, Any] = {"Id": "sha256:base", "RootFS": {"Layers": ["sha256:b1", "sha256:b2"]}}
LOCK = ContextFile(
    path=".dependencies/app/deno.lock", content=SourceFile(path="deno.lock", size=1, digest="aa")
)
CONTEXT: tuple[ContextEntry, ...] = (
    ContextDirectory(".dependencies"),
    LOCK,
    ContextDirectory(".engine"),
    ContextDirectory(".engine/app"),
    ContextFile(path=".engine/app/main.ts", content=b"main"),
    ContextDirectory(".sources"),
    ContextDirectory(".sources/app"),
    ContextFile(path=".sources/app/workflow.yaml", content=b"name"),
)


def digest(context: tuple[ContextEntry, ...] = CONTEXT, base: Any = BASE, dockerfile: str = "FROM x") -> str:
    return parent_digest(context, base=base, dockerfile=dockerfile)


def engine_layer(dialect: TarDialect) -> str:
    archive = header(ContextDirectory("app"), dialect)
    archive += header(ContextFile(path="app/main.ts", content=b"main"), dialect) + b"main".ljust(
        padded(4), b"\0"
    )
    return f"sha256:{hashlib.sha256(archive + END).hexdigest()}"


def test_sources_are_what_the_layer_holds_and_the_rest_is_below() -> None:
    below, sources = split_sources(CONTEXT)
    assert [entry.path for entry in sources] == ["app", "app/workflow.yaml"]
    assert below == CONTEXT[:5]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(digest(base={**BASE, "Id": "sha256:other"}), id="another base image"),
        pytest.param(digest(dockerfile="FROM y"), id="another Dockerfile"),
        pytest.param(
            digest((*CONTEXT[:4], ContextFile(path=".engine/app/main.ts", content=b"next"))),
            id="another engine",
        ),
        pytest.param(
            digest((replace(LOCK, content=SourceFile(path="deno.lock", size=1, digest="bb")), *CONTEXT)),
            id="another lock file",
        ),
    ],
)
def test_all_that_decides_on_its_content_is_in_a_parents_digest(other: str) -> None:
    assert other != digest()
    assert parent_reference(other) != parent_reference(digest())


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(None, False, id="none"),
        pytest.param({"Config": {"Labels": None}, "RootFS": BASE["RootFS"]}, False, id="somebody else's"),
        pytest.param(
            {
                "Config": {"Labels": {IMAGE_PARENT_LABEL: "d"}},
                "RootFS": {"Layers": ["sha256:b1", "sha256:x"]},
            },
            False,
            id="on other layers",
        ),
        pytest.param(
            {
                "Config": {"Labels": {IMAGE_PARENT_LABEL: "d"}},
                "RootFS": {"Layers": ["sha256:b1", "sha256:b2", "e"]},
            },
            True,
            id="on the base image's layers",
        ),
    ],
)
def test_a_parent_is_told_by_its_label_and_its_layers(
    image: dict[str, Any] | None, *, expected: bool
) -> None:
    assert is_parent(image, "d", base=BASE) == expected


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_the_engines_layer_tells_how_docker_writes_headers(dialect: TarDialect) -> None:
    assert (
        dialect_of({"RootFS": {"Layers": ["sha256:b1", engine_layer(dialect), "sha256:d"]}}, CONTEXT)
        == dialect
    )


def test_an_unknown_dialect_is_written_plainly() -> None:
    assert dialect_of({"RootFS": {"Layers": ["sha256:b1", "sha256:e"]}}, CONTEXT) == PLAIN
