from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.image import image_references, parse_reference, registry_host
from pdwatch.core.model import ImageRef, WorkflowSpec
from pdwatch.errors import SettingsError

DIGEST = "sha256:" + "0123456789abcdef" * 4
PINNED = "sha256:" + "ef" * 32


def spec(name: str = "hello", version: str = "1.0") -> WorkflowSpec:
    return WorkflowSpec(name=name, version=version, triggers=(), nodes=())


def references(**options: str) -> list[str]:
    return [str(ref) for ref in image_references(spec(), DIGEST, **options)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, ["hello:1-0-0123456789ab", "hello:1-0"], id="local"),
        pytest.param(
            {"registry": "gcr.io/project"},
            ["gcr.io/project/hello:1-0-0123456789ab", "gcr.io/project/hello:1-0"],
            id="in a registry",
        ),
        pytest.param(
            {"registry": "localhost:5000/"},
            ["localhost:5000/hello:1-0-0123456789ab", "localhost:5000/hello:1-0"],
            id="a registry with a port and a trailing slash",
        ),
        pytest.param(
            {"registry": "me"}, ["me/hello:1-0-0123456789ab", "me/hello:1-0"], id="an account of Docker Hub"
        ),
        pytest.param({"tag": "nightly"}, ["hello:nightly"], id="a tag alone"),
        pytest.param(
            {"tag": "nightly", "registry": "ghcr.io/me"},
            ["ghcr.io/me/hello:nightly"],
            id="a tag in a registry",
        ),
        pytest.param({"tag": "other:2"}, ["other:2"], id="a whole reference"),
        pytest.param({"tag": "ghcr.io/me/x"}, ["ghcr.io/me/x:latest"], id="a whole reference without a tag"),
        pytest.param(
            {"tag": "localhost:5000/x:2", "registry": "ghcr.io"},
            ["localhost:5000/x:2"],
            id="whole beats registry",
        ),
    ],
)
def test_an_image_is_called(options: dict[str, str], expected: list[str]) -> None:
    assert references(**options) == expected


def test_dots_of_the_version_become_dashes() -> None:
    refs = image_references(spec(version="1.10.3"), DIGEST)
    assert [ref.tag for ref in refs] == ["1-10-3-0123456789ab", "1-10-3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"registry": "https://ghcr.io/me"}, "is a URL", id="a registry with a scheme"),
        pytest.param({"registry": "ghcr.io/Me"}, "no image repository", id="an upper-case path"),
        pytest.param({"registry": ""}, "no image repository", id="an empty registry"),
        pytest.param({"registry": "ghcr.io/me:tag"}, "no image repository", id="a registry with a tag"),
        pytest.param({"registry": "r.io/" + "a" * 250}, "no image repository", id="too long a repository"),
        pytest.param({"tag": ""}, "no image tag", id="an empty tag"),
        pytest.param({"tag": "a b"}, "no image tag", id="a space in the tag"),
        pytest.param({"tag": ".a"}, "no image tag", id="a tag that begins with a dot"),
        pytest.param({"tag": "a" * 129}, "no image tag", id="too long a tag"),
        pytest.param({"tag": "größe"}, "no image tag", id="a letter beyond ASCII"),
        pytest.param({"tag": "a:b:c"}, "no image reference", id="two colons"),
        pytest.param({"tag": "/x:1"}, "no image reference", id="no host before the slash"),
        pytest.param({"tag": "Me/x:1"}, "no image reference", id="an upper-case account"),
        pytest.param({"tag": "me/x:1\n"}, "no image reference", id="a line break"),
        pytest.param({"tag": f"x:1@{PINNED}"}, "pins a digest", id="a digest"),
    ],
)
def test_what_makes_no_reference_is_refused_with_advice(options: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        references(**options)
    assert refused.value.remedy


@pytest.mark.parametrize("registry", ["https://ada:canary@r.io/me", "ada:canary@r.io", "ada:can@ary@r.io"])
def test_a_password_in_the_registry_is_refused_and_not_repeated(registry: str) -> None:
    with pytest.raises(SettingsError, match="has an @ in it") as refused:
        references(registry=registry)
    assert "docker login" in (refused.value.remedy or "")
    assert "can" not in f"{refused.value.message} {refused.value.remedy}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", ImageRef(repository="hello", tag="latest")),
        ("hello:1-0", ImageRef(repository="hello", tag="1-0")),
        ("localhost:5000/a/b:1", ImageRef(repository="localhost:5000/a/b", tag="1")),
        ("localhost:5000/a", ImageRef(repository="localhost:5000/a", tag="latest")),
        ("[::1]:5000/a:1", ImageRef(repository="[::1]:5000/a", tag="1")),
        (f"hello:1@{PINNED}", ImageRef(repository="hello", tag="1", digest=PINNED)),
        (f"hello@{PINNED}", ImageRef(repository="hello", tag="latest", digest=PINNED)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reference_is_parsed(text: str, expected: ImageRef) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a:", "a//b", "-a", "a-", "a..b", "a@", "a@sha256:12", "a@md5:" + "0" * 64, "a b", "A", "a/"],
)
def test_what_is_no_reference_is_none(text: str) -> None:
    assert parse_reference(text) is None


@pytest.mark.parametrize(
    ("repository", "host"),
    [
        ("hello", "docker.io"),
        ("me/hello", "docker.io"),
        ("ghcr.io/me/hello", "ghcr.io"),
        ("localhost/hello", "localhost"),
        ("registry:5000/hello", "registry:5000"),
        ("[::1]:5000/hello", "[::1]:5000"),
    ],
)
def test_the_registry_is_the_part_that_looks_like_a_host(repository: str, host: str) -> None:
    assert registry_host(ImageRef(repository=repository, tag="1")) == host


names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,5}\.[0-9]{1,5}(\.[0-9]{1,5})?", fullmatch=True)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
registries = st.none() | st.sampled_from(["localhost:5000", "ghcr.io/me", "me", "a.b-c.example:80/x_y/z--1"])


@given(names, versions, digests, registries)
def test_every_reference_reads_back_as_itself(
    name: str, version: str, digest: str, registry: str | None
) -> None:
    refs = image_references(spec(name, version), digest, registry=registry)
    assert tuple(parse_reference(str(ref)) for ref in refs) == refs


@given(versions, versions, digests, digests)
def test_one_immutable_reference_stands_for_one_digest_and_version(
    version: str, other_version: str, digest: str, other_digest: str
) -> None:
    one = image_references(spec(version=version), digest)[0]
    other = image_references(spec(version=other_version), other_digest)[0]
    assert (one == other) == (version == other_version and digest[:19] == other_digest[:19])
