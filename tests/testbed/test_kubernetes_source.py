"""How Kubernetes is compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testbed import kubernetes_source


@pytest.mark.parametrize(
    ("files", "packages"),
    [
        pytest.param(
            ["staging/src/k8s.io/api/apps/v1/doc.go", "staging/src/k8s.io/api/apps/v1/types.go"],
            ["k8s.io/kubernetes/vendor/k8s.io/api/apps/v1"],
            id="staging packages are known by their vendored path, each once",
        ),
        pytest.param(
            ["pkg/apis/abac/v0/doc.go"], ["k8s.io/kubernetes/pkg/apis/abac/v0"], id="others by their own"
        ),
        pytest.param(
            ["staging/src/k8s.io/sample-apiserver/pkg/x.go", "staging/src/k8s.io/code-generator/y/y.go"],
            [],
            id="examples are left out",
        ),
    ],
)
def test_packages_for_openapi(files: list[str], packages: list[str]):
    assert kubernetes_source.openapi_packages(files) == packages


def test_the_programs_know_their_version():
    flags = kubernetes_source.version_flags("1.20.2")

    assert "component-base/version.gitVersion=v1.20.2" in flags
    assert "client-go/pkg/version.gitVersion=v1.20.2" in flags
    assert "version.gitMajor=1 " in flags
    assert flags.endswith("version.gitMinor=20")


def test_the_recipe_names_no_place_on_this_machine():
    assert str(Path.home()) not in repr(kubernetes_source.recipe())
