from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.build_context import ContextDirectory, ContextEntry, ContextFile, ContextLink
from pdwatch.core.model import SourceFile
from pdwatch.core.tar_header import BLOCK, DIALECTS, END, TarDialect, archive_size, header, padded

DOCKER_20_10 = TarDialect(file_type_bits=True, owner_names=True)
characters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
names = st.text(characters, min_size=1, max_size=180).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
entries = st.one_of(
    paths.map(ContextDirectory),
    st.builds(lambda path, target: ContextLink(path=path, target=target), paths, paths),
    st.builds(lambda path, content: ContextFile(path=path, content=content), paths, st.binary(max_size=1100)),
)


def file_of(size: int) -> ContextFile:
    return ContextFile(path="a", content=SourceFile(path="a", size=size, digest=""))


def read_back(archive: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (member,) = tar.getmembers()
        return member


def test_a_directory_looks_as_in_a_layer_that_docker_20_10_made() -> None:
    block = header(ContextDirectory("app"), DOCKER_20_10)
    assert block[:100].rstrip(b"\0") == b"app/"
    assert block[100:157] == (b"0040755\x000000000\x000000000\x0000000000000\x0000000000000\x00011601\x00 5")
    assert block[257:329] == b"ustar\x0000" + b"root".ljust(32, b"\0") * 2
    assert block[329:345] == b"0000000\x00" * 2
    assert block[345:] == bytes(BLOCK - 345)


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@given(entry=entries)
def test_every_dialect_says_the_same_to_readers(entry: ContextEntry, dialect: TarDialect) -> None:
    content = entry.content if isinstance(entry, ContextFile) else b""
    assert isinstance(content, bytes)
    head = header(entry, dialect)
    assert len(head) % BLOCK == 0
    member = read_back(head + content.ljust(padded(len(content)), b"\0") + END)
    assert member.name == entry.path
    assert (member.uid, member.gid, member.mtime, member.size) == (0, 0, 0, len(content))
    assert member.isdir() == isinstance(entry, ContextDirectory)
    assert member.linkname == (entry.target if isinstance(entry, ContextLink) else "")
    assert member.mode & 0o7777 == {b"5": 0o755, b"2": 0o777, b"0": 0o644}[member.type]


@given(st.lists(entries, max_size=5))
def test_the_size_of_an_archive_is_known_before_it_is_made(listed: list[ContextEntry]) -> None:
    archive = b"".join(
        header(entry)
        + (entry.content.ljust(padded(entry.size), b"\0") if isinstance(entry, ContextFile) else b"")  # type: ignore[union-attr]
        for entry in listed
    )
    assert archive_size(listed) == len(archive + END)


@pytest.mark.parametrize(
    ("path", "prefix", "extended"),
    [
        pytest.param("a" * 100, "", False, id="as long as the field"),
        pytest.param("a" * 101, "", True, id="longer, and one name"),
        pytest.param(f"{'a' * 90}/{'b' * 90}", "a" * 90, False, id="split at a slash"),
        pytest.param(f"{'a' * 156}/b", "", True, id="a directory longer than the prefix"),
        pytest.param("é", "", True, id="not ASCII"),
    ],
)
def test_a_long_name_is_split_where_it_can_be(path: str, prefix: str, *, extended: bool) -> None:
    head = header(ContextFile(path=path, content=b""))
    assert (len(head) > BLOCK) == extended
    assert head[-BLOCK:][345:500].rstrip(b"\0").decode() == prefix


@pytest.mark.parametrize("size", [8**11 - 1, 8**11], ids=["the largest that octal digits hold", "larger"])
def test_a_file_of_any_size_has_a_header(size: int) -> None:
    head = header(file_of(size))
    with tarfile.open(fileobj=io.BytesIO(head), mode="r|") as tar:
        member = tar.next()
    assert member
    assert member.size == size
