"""Which clusters pdwatch may write to, and which one is the same as before."""

from __future__ import annotations

import pytest

from pdwatch.core.context_guard import ClusterIdentity, context_refusal, is_loopback, same_cluster

FAR = "https://api.example.com:6443"


@pytest.mark.parametrize(
    ("context", "server", "allowed", "may"),
    [
        pytest.param("kind-dev", FAR, (), True, id="kind"),
        pytest.param("k3d-dev", FAR, (), True, id="k3d"),
        pytest.param("minikube", FAR, (), True, id="minikube"),
        pytest.param("docker-desktop", FAR, (), True, id="Docker Desktop"),
        pytest.param("rancher-desktop", FAR, (), True, id="Rancher Desktop"),
        pytest.param("colima", FAR, (), True, id="colima"),
        pytest.param("colima-arm", FAR, (), True, id="a colima profile"),
        pytest.param("prod", "https://127.0.0.1:6443", (), True, id="loopback, whatever its name"),
        pytest.param(None, "https://10.96.0.1", (), True, id="the pod's own cluster"),
        pytest.param("prod", FAR, (), False, id="neither name nor address is local"),
        pytest.param("prod", FAR, ("prod",), True, id="allowed by name"),
        pytest.param("team-a", FAR, ("team-*",), True, id="allowed by pattern"),
        pytest.param("prod", FAR, ("team-*", "stag"), False, id="others are allowed"),
        pytest.param("Prod", FAR, ("prod",), False, id="case counts"),
        pytest.param("my-kind-dev", FAR, (), False, id="a local name is no local part of a name"),
        pytest.param("minikube2", FAR, (), False, id="a local name is no local beginning of a name"),
    ],
)
def test_a_context_may_be_written_to_that_looks_local_or_is_allowed(
    context: str | None, server: str, allowed: tuple[str, ...], *, may: bool
):
    assert (context_refusal(context, server, allowed) is None) is may


def test_a_refusal_names_context_and_server_and_how_to_allow_it():
    refused = context_refusal("prod", FAR, ())
    assert refused is not None
    assert refused.message == f"context prod ({FAR}) does not look local, and is not allowed"
    assert "allow_contexts: [prod]" in refused.remedy
    assert "--allow-context=prod" in refused.remedy


@pytest.mark.parametrize(
    ("server", "loopback"),
    [
        ("https://127.0.0.1:6443", True),
        ("https://127.8.9.1", True),
        ("https://[::1]:6443", True),
        ("https://localhost:6443", True),
        ("https://api.localhost", True),
        ("https://localhost.example.com", False),
        ("https://10.0.0.1:6443", False),
        ("https://127.0.0.1.example.com", False),
        ("https://[fe80::1]", False),
    ],
)
def test_loopback_is_an_address_and_no_likeness(server: str, *, loopback: bool):
    assert is_loopback(server) is loopback


def identity(uid: str | None, server: str = FAR, authority: str | None = "ca") -> ClusterIdentity:
    return ClusterIdentity(uid=uid, server=server, authority=authority)


@pytest.mark.parametrize(
    ("pinned", "seen", "same"),
    [
        pytest.param(identity("1"), identity("1"), True, id="the same UID"),
        pytest.param(identity("1"), identity("1", "https://other", "other"), True, id="it has moved"),
        pytest.param(identity("1"), identity("2"), False, id="another UID behind the same address"),
        pytest.param(identity("1"), identity(None), False, id="a UID that is hidden now"),
        pytest.param(identity(None), identity(None), True, id="no UID, the same certificate"),
        pytest.param(identity(None), identity("1"), True, id="a UID that was hidden before"),
        pytest.param(identity(None), identity(None, authority="other"), False, id="another certificate"),
        pytest.param(identity(None), identity(None, "https://other"), False, id="another address"),
    ],
)
def test_a_cluster_is_told_by_its_uid_and_without_one_by_address_and_certificate(
    pinned: ClusterIdentity, seen: ClusterIdentity, *, same: bool
):
    assert same_cluster(pinned, seen) is same
