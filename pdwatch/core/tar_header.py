"""Headers of tar archives, written as Go's ``archive/tar`` writes them, so that layers can equal Docker's.

Docker makes a layer's archive itself, and a layer's diff ID is the digest of that archive's bytes. Owner,
group and times are 0 here, as in the build context. The rest is what differs between Docker's versions, which
:class:`TarDialect` names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from pdwatch.core.build_context import ContextDirectory, ContextLink

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdwatch.core.build_context import ContextEntry

BLOCK = 512
END = bytes(2 * BLOCK)
"""What an archive ends with."""
_NAME, _LINK, _PREFIX = 100, 100, 155
"""How long these fields of a header are, in bytes."""
_OCTAL_SIZE_LIMIT = 8**11
_REGULAR, _DIRECTORY, _SYMBOLIC_LINK, _EXTENDED = b"0", b"5", b"2", b"x"
_MODES = {
    _REGULAR: (0o644, 0o100000),
    _DIRECTORY: (0o755, 0o040000),
    _SYMBOLIC_LINK: (0o777, 0o120000),
    _EXTENDED: (0, 0),
}
"""The permissions, and the bits of stat(2) that say what kind of file it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarDialect:
    """What one Docker writes into headers, and another leaves out."""

    file_type_bits: bool = False
    """Whether the mode says what kind of file it is (``fillGo18FileTypeBits`` in moby's ``pkg/archive``)."""
    owner_names: bool = False
    """Whether owner and group 0 are called ``root`` too; Docker 20.10 looks them up."""


PLAIN = TarDialect()
"""What POSIX asks for and no more."""
DIALECTS = tuple(
    TarDialect(file_type_bits=bits, owner_names=names) for bits, names in product((True, False), repeat=2)
)


def header(entry: ContextEntry, dialect: TarDialect = PLAIN) -> bytes:
    """Return what comes before an entry's content: a multiple of :data:`BLOCK` bytes."""
    if isinstance(entry, ContextDirectory):
        return _header(f"{entry.path}/", _DIRECTORY, dialect)
    if isinstance(entry, ContextLink):
        return _header(entry.path, _SYMBOLIC_LINK, dialect, link=entry.target)
    return _header(entry.path, _REGULAR, dialect, size=entry.size)


def archive_size(entries: Iterable[ContextEntry], dialect: TarDialect = PLAIN) -> int:
    """Return how many bytes an archive of the entries has."""
    sizes = (len(header(entry, dialect)) + padded(_content_size(entry)) for entry in entries)
    return sum(sizes) + len(END)


def padded(size: int) -> int:
    """Return the size of a content in an archive, where it fills whole blocks."""
    return size + -size % BLOCK


def _content_size(entry: ContextEntry) -> int:
    return 0 if isinstance(entry, ContextDirectory | ContextLink) else entry.size


def _header(name: str, kind: bytes, dialect: TarDialect, *, size: int = 0, link: str = "") -> bytes:
    records: dict[str, str] = {}
    if not name.isascii() or len(name) > _NAME:
        records["path"] = name
    if not link.isascii() or len(link) > _LINK:
        records["linkpath"] = link
    if size >= _OCTAL_SIZE_LIMIT:
        records["size"] = str(size)
    split = _split(name)
    if split and records.keys() <= {"path"}:
        return _block(split[1], kind, dialect, size=size, link=link, prefix=split[0])
    shown = 0 if "size" in records else size
    return _extended(name, records) + _block(name, kind, dialect, size=shown, link=link)


def _split(name: str) -> tuple[str, str] | None:
    """Return a name's ``prefix`` and ``name`` fields (``splitUSTARPath`` in Go); None if it does not fit."""
    if not name.isascii():
        return None
    if len(name) <= _NAME:
        return "", name
    end = min(len(name) - name.endswith("/"), _PREFIX + 1)
    at = name.rfind("/", 0, end)
    last = len(name) - at - 1
    return (name[:at], name[at + 1 :]) if at > 0 and 0 < last <= _NAME else None


def _extended(name: str, records: Mapping[str, str]) -> bytes:
    """Return an extended header of POSIX.1-2001 (pax) with its records."""
    directory, _, file = name.rpartition("/")
    content = b"".join(_record(key, records[key]) for key in sorted(records))
    where = "/".join(part for part in (directory, "PaxHeaders.0", file) if part)
    block = _block(where, _EXTENDED, PLAIN, size=len(content))
    return block + content + bytes(padded(len(content)) - len(content))


def _record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _block(
    name: str, kind: bytes, dialect: TarDialect, *, size: int, link: str = "", prefix: str = ""
) -> bytes:
    owner, ends = _constant_fields(kind, dialect)
    fields = (
        _field(_ascii(name), _NAME),
        owner,
        b"%011o\0%011o\0        " % (size, 0),
        kind,
        _field(_ascii(link), _LINK),
        ends,
        _field(_ascii(prefix), _PREFIX),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


@cache
def _constant_fields(kind: bytes, dialect: TarDialect) -> tuple[bytes, bytes]:
    """Return the fields from the mode to the group, and those from the magic to the device."""
    mode, type_bits = _MODES[kind]
    if dialect.file_type_bits:
        mode |= type_bits
    name = b"root" if dialect.owner_names else b""
    device = bytes(16) if kind == _EXTENDED else b"%07o\0%07o\0" % (0, 0)
    return b"%07o\0%07o\0%07o\0" % (mode, 0, 0), b"ustar\x0000" + name.ljust(32, b"\0") * 2 + device


def _field(content: bytes, length: int) -> bytes:
    """Cut a content off, though never after a slash: some readers take what ends with one for a directory."""
    shown = content if len(content) <= length else content[:length].rstrip(b"/")
    return shown.ljust(length, b"\0")


def _ascii(text: str) -> bytes:
    """Leave out what is not ASCII, for readers that don't know extended headers."""
    return text.encode("ascii", errors="ignore")
