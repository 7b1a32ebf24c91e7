"""Local secrets, and that nothing but the Secret ever holds them."""

from __future__ import annotations

import json
import os
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.adapters.files import FileSource
from pdwatch.adapters.secrets import read_secrets
from pdwatch.core.secrets import MAX_SECRET_BYTES, parse_secrets
from pdwatch.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CANARY = "c4n4ry"


def write(root: Path, path: str, content: str | bytes) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


async def test_there_may_be_no_secrets(tmp_path: Path) -> None:
    assert await FileSource(recipe="engine").secrets(tmp_path) == {}


async def test_a_directory_gives_a_key_a_file(tmp_path: Path) -> None:
    write(tmp_path, ".secrets/github", '{"token": "t"}\n')
    write(tmp_path, ".secrets/key.pem", b"\x00\xff")
    write(tmp_path, ".secrets/.gitignore", "*")
    (tmp_path / ".secrets/github").chmod(0o777)

    assert await FileSource(recipe="engine").secrets(tmp_path) == {
        "github": b'{"token": "t"}\n',
        "key.pem": b"\x00\xff",
    }


def test_a_file_gives_a_key_a_service_and_lies_on_top(tmp_path: Path) -> None:
    write(tmp_path, ".secrets/github", "below")
    write(tmp_path, ".secrets/slack", "alone")
    write(tmp_path, ".secrets.yaml", "github: {token: t, nested: {list: [a, b]}}\nplain: just text\n")

    assert read_secrets(tmp_path) == {
        "github": b'{"token":"t","nested":{"list":["a","b"]}}',
        "slack": b"alone",
        "plain": b"just text",
    }


def test_a_mounted_secrets_links_are_followed(tmp_path: Path) -> None:
    write(tmp_path, ".secrets/..2024/github", "mounted")
    (tmp_path / ".secrets/..data").symlink_to("..2024")
    (tmp_path / ".secrets/github").symlink_to("..data/github")

    assert read_secrets(tmp_path) == {"github": b"mounted"}


@pytest.mark.parametrize("content", ["", "\n", "# github:\n#   token: t\n"])
def test_a_file_without_content_holds_no_secrets(content: str) -> None:
    assert parse_secrets(content.encode(), path="s") == {}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5432", 5432),
        ("-1", -1),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("0012", "0012"),
        ("1.10", "1.10"),
        ("1e3", "1e3"),
        ("1_000", "1_000"),
        ("0x1f", "0x1f"),
        ("12345678901234567890", "12345678901234567890"),
        ("True", "True"),
        ("yes", "yes"),
        ("2024-01-01", "2024-01-01"),
        ("'5432'", "5432"),
        ("Grüße", "Grüße"),
    ],
)
def test_a_value_is_a_number_or_boolean_only_where_that_loses_nothing(written: str, value: object) -> None:
    secrets = parse_secrets(f"db: {{value: {written}}}".encode(), path="s")

    assert json.loads(secrets["db"]) == {"value": value}


@pytest.mark.parametrize("written", ["0012", "1.10", "true", "5432"])
def test_a_text_alone_stays_as_it_is_written(written: str) -> None:
    assert parse_secrets(f"token: {written}".encode(), path="s") == {"token": written.encode()}


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        pytest.param(f"ok: 1\n{CANARY}: [", 2, "is not valid YAML", id="a list that is never closed"),
        pytest.param(f"ok: 1\ntoken: '{CANARY}", 2, "is not valid YAML", id="a quote that is never closed"),
        pytest.param(f"ok: 1\n\ttoken: {CANARY}", 2, "is not valid YAML", id="a tab"),
        pytest.param(f"a: *{CANARY}", 1, "is not valid YAML", id="an unknown alias"),
        pytest.param(f"a: !{CANARY} x", 1, "is not valid YAML", id="a tag"),
        pytest.param(f"a: 1\n{CANARY}: 1\n{CANARY}: 2", 3, "is not valid YAML", id="a key twice"),
        pytest.param(f"a: 1\n---\n{CANARY}: 2", 2, "is not valid YAML", id="two documents"),
        pytest.param(f"{CANARY}".encode() + b"\xff: 1", 1, "is not valid YAML", id="not UTF-8"),
        pytest.param(f"a: &x {{b: *x, c: {CANARY}}}", 1, "is not valid YAML", id="an alias of itself"),
        pytest.param(CANARY, 1, "must be a mapping of service names", id="a text"),
        pytest.param(f"- {CANARY}", 1, "must be a mapping of service names", id="a list"),
        pytest.param(f"a: 1\nb: [{CANARY}]", 2, "needs a mapping or a text", id="a service with a list"),
        pytest.param(f"a: 1\nb:\n# {CANARY}", 2, "needs a mapping or a text", id="a service with nothing"),
        pytest.param(f"a: 1\n{CANARY}/x: 1", 2, "may hold only letters", id="a key that Kubernetes refuses"),
        pytest.param(f"a: 1\n.{CANARY}: 1", 2, "must not begin with '.'", id="a key that the engine skips"),
        pytest.param(f"a: 1\n{CANARY * 50}: 1", 2, "may hold only letters", id="a long key"),
        pytest.param(
            f"x:\n  a: &a {CANARY * 99}\n  b: &b [{'*a,' * 99}]\nc: {{d: [{'*b,' * 50}]}}",
            4,
            "takes more than the 1048576 bytes",
            id="aliases that grow without bound",
        ),
    ],
)
def test_a_mistake_is_told_by_its_line_and_never_by_its_content(
    tmp_path: Path, content: str | bytes, line: int, message: str
) -> None:
    write(tmp_path, ".secrets.yaml", content)

    with pytest.raises(SourceError) as caught:
        read_secrets(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path}/.secrets.yaml:{line}: ")
    assert message in str(caught.value)
    assert CANARY not in everything_about(caught.value)


def everything_about(error: BaseException) -> str:
    """Return all that a log could show of an error, its and of its causes."""
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.__context__)


def refusal(content: str) -> SourceError | None:
    try:
        parse_secrets(content.encode(), path="s")
    except SourceError as error:
        return error
    return None


@given(content=st.lists(st.sampled_from([CANARY, *"{}[]:,'\"&*!|>%@`#-?\t\n \\é"]), max_size=12).map("".join))
def test_no_content_shows_in_an_error_whatever_the_file_is(content: str) -> None:
    error = refusal(content)

    assert error is None or CANARY not in everything_about(error)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            lambda root: write(root, ".secrets/a b", CANARY),
            "a b: a service's name may hold only",
            id="a name",
        ),
        pytest.param(
            lambda root: write(root, os.fsdecode(b".secrets/caf\xe9"), CANARY),
            r"caf\xe9: ",
            id="a name in Latin-1",
        ),
        pytest.param(
            lambda root: write(root, ".secrets/sub/a", CANARY),
            "sub can't be read: Not a regular file",
            id="a directory",
        ),
        pytest.param(
            lambda root: os.mkfifo(root / ".secrets.yaml"),
            ".secrets.yaml can't be read: Not a regular file",
            id="a FIFO",
        ),
        pytest.param(
            lambda root: write(root, ".secrets", CANARY),
            ".secrets can't be read: Not a directory",
            id="a file",
        ),
        pytest.param(
            lambda root: write(root, ".secrets/a", CANARY * (1 << 18)),
            "a: the secrets take",
            id="a large file",
        ),
    ],
)
def test_what_makes_no_secret_is_an_error(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(tmp_path)

    with pytest.raises(SourceError) as caught:
        read_secrets(tmp_path)

    assert message in str(caught.value)
    assert CANARY not in everything_about(caught.value)


def test_a_secret_holds_a_mebibyte_in_all(tmp_path: Path) -> None:
    write(tmp_path, ".secrets/a", b"x" * (MAX_SECRET_BYTES - 10))
    write(tmp_path, ".secrets.yaml", "b: 0123456789")
    assert len(read_secrets(tmp_path)) == 2

    write(tmp_path, ".secrets.yaml", "b: 0123456789x")
    with pytest.raises(
        SourceError, match="the secrets take 1048577 bytes, and a Kubernetes Secret holds 1048576"
    ):
        read_secrets(tmp_path)


@pytest.mark.parametrize("name", [".secrets.yaml", ".secrets"])
def test_a_link_to_what_is_not_there_is_an_error_since_no_secrets_would_be_another_thing(
    tmp_path: Path, name: str
):
    (tmp_path / name).symlink_to(tmp_path / "vault" / "locked")
    with pytest.raises(SourceError, match=r"vault/locked, which is not there"):
        read_secrets(tmp_path)
