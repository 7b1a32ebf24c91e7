from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pdwatch.core.image_config import (
    EMPTY_LAYER,
    ArchivedImage,
    archive_config_name,
    archive_manifest,
    normal_config,
    with_layer,
)

BASE = {"RootFS": {"Layers": ["sha256:b1", "sha256:b2"]}}
DOCKERFILE = """\
FROM base
ENV A=1
COPY .engine/ /
WORKDIR /app
COPY .sources/ /
LABEL a=b
"""


def built(*layers: str, **changes: Any) -> dict[str, Any]:
    return {
        "Id": "sha256:raw",
        "Created": "2026-01-01T00:00:00.123Z",
        "Architecture": "arm64",
        "Variant": "v8",
        "Os": "linux",
        "DockerVersion": "20.10",
        "Config": {
            "Hostname": "3b45c57acdaa",
            "Image": "sha256:parent",
            "User": "65532:65532",
            "Env": ["A=1"],
            "Cmd": None,
            "Labels": {"a": "b", "build": "1"},
        },
        "RootFS": {"Type": "layers", "Layers": ["sha256:b1", "sha256:b2", *layers]},
        **changes,
    }


def normal(image: dict[str, Any]) -> Any:
    config = normal_config(image, base=BASE, dockerfile=DOCKERFILE, without_labels={"build"})
    return config and json.loads(config.content)


def test_the_configuration_keeps_what_says_how_to_run() -> None:
    config = normal(built("sha256:e", "sha256:s"))
    assert config == {
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"User": "65532:65532", "Env": ["A=1"], "Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:b1", "sha256:b2", "sha256:e", "sha256:s"]},
        "history": [
            {
                "created": "1970-01-01T00:00:00Z",
                "created_by": line,
                **({"empty_layer": True} if empty else {}),
            }
            for line, empty in [
                ("FROM base", False),
                ("FROM base", False),
                ("ENV A=1", True),
                ("COPY .engine/ /", False),
                ("WORKDIR /app", True),
                ("COPY .sources/ /", False),
                ("LABEL a=b", True),
            ]
        ],
    }


def test_builds_at_other_times_by_other_builders_have_one_id() -> None:
    one = normal_config(built("sha256:e", "sha256:s"), base=BASE, dockerfile=DOCKERFILE)
    later = built(
        "sha256:e", "sha256:s", Id="sha256:other", Created="2027-01-01T00:00:00Z", DockerVersion="29"
    )
    later["Config"] = {**later["Config"], "Hostname": "", "Image": ""}
    other = normal_config(later, base=BASE, dockerfile=DOCKERFILE)
    assert one
    assert other
    assert one.id == other.id == f"sha256:{hashlib.sha256(one.content).hexdigest()}"


def test_history_counts_the_empty_layer_that_buildkit_makes_for_workdir() -> None:
    config = normal(built("sha256:e", EMPTY_LAYER, "sha256:s"))
    assert [entry["created_by"] for entry in config["history"] if "empty_layer" not in entry] == [
        "FROM base",
        "FROM base",
        "COPY .engine/ /",
        "WORKDIR /app",
        "COPY .sources/ /",
    ]


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(built("sha256:e"), id="a layer too few"),
        pytest.param(built("sha256:e", "sha256:s", "sha256:x"), id="a layer too many"),
        pytest.param(
            built(
                "sha256:e", "sha256:s", RootFS={"Layers": ["sha256:n1", "sha256:n2", "sha256:e", "sha256:s"]}
            ),
            id="another base",
        ),
    ],
)
def test_what_is_not_the_base_with_our_layers_on_top_has_no_normal_form(image: dict[str, Any]) -> None:
    assert normal(image) is None


def test_the_archive_names_every_layer_and_reference() -> None:
    config = normal_config(built("sha256:e", "sha256:s"), base=BASE, dockerfile=DOCKERFILE)
    assert config
    images = [
        ArchivedImage(config=config, references=("hello:1-0",)),
        ArchivedImage(config=config, references=("other:1-0",), layer="top.tar"),
    ]
    first, second = json.loads(archive_manifest(images))
    assert first == {
        "Config": archive_config_name(config),
        "RepoTags": ["hello:1-0"],
        "Layers": ["0/layer.tar", "1/layer.tar", "2/layer.tar", "3/layer.tar"],
    }
    assert second["RepoTags"] == ["other:1-0"]
    assert second["Layers"] == [*first["Layers"][:-1], "top.tar"]
    assert archive_config_name(config) == f"{config.id.removeprefix('sha256:')}.json"


def test_a_layer_on_a_parent_image_gives_the_configuration_of_the_whole_dockerfile() -> None:
    parent = built("sha256:e")
    parent["Config"] |= {"Cmd": ["/bin/sh"], "Entrypoint": ["/base"]}
    whole = built("sha256:e", "sha256:s")
    whole["Config"] |= {"Entrypoint": ["/run"], "Labels": {"a": "b", "build": "1", "of": "workflow"}}
    added = with_layer(parent, layer="sha256:s", entrypoint=["/run"], labels={"of": "workflow"})
    assert normal(dict(added)) == normal(whole)
