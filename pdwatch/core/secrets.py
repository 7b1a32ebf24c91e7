"""Local secrets as the keys and values of a Kubernetes Secret. No message ever shows what a file holds."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pdwatch.core.yaml_document import read_document
from pdwatch.core.yaml_tree import YamlMapping, YamlScalar, YamlSequence
from pdwatch.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdwatch.core.yaml_tree import YamlValue

MAX_SECRET_BYTES = 1 << 20
"""All values of one Secret together (MaxSecretSize in Kubernetes' core/v1)."""

_KEY = re.compile(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}")
"""Kubernetes' IsConfigMapKey, without a leading dot: the engine skips dot-files."""
_LARGEST_EXACT = 2**53 - 1
"""JavaScript's Number.MAX_SAFE_INTEGER."""


def parse_secrets(content: bytes, *, path: str) -> dict[str, bytes]:
    """Read ``.secrets.yaml``: a mapping of service names to what each service needs.

    Args:
        content: The file as it is.
        path: What errors call the file.

    Returns:
        One Secret key a service: a mapping as JSON, a text as it is.

    Raises:
        SourceError: It is no such mapping; names the path and the line.
    """
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in content.splitlines()):
        return {}
    document = read_document(content)
    if document.problems:
        # The problem's own words may quote a secret.
        raise _refusal(path, document.problems[0].line, "is not valid YAML here")
    if not isinstance(document.root, YamlMapping):
        raise _refusal(path, 1, "must be a mapping of service names to their secrets")
    secrets: dict[str, bytes] = {}
    for key, entry in document.root.entries.items():
        line = entry.key_position.line
        if not is_secret_key(key):
            raise _refusal(path, line, KEY_RULE)
        secrets[key] = _value(entry.value, path=path, line=line)
    return secrets


KEY_RULE = "a service's name may hold only letters, digits, '-', '_' and '.', and must not begin with '.'"


def is_secret_key(name: str) -> bool:
    """Return whether a Secret can have the key, and the engine will read it."""
    return _KEY.fullmatch(name) is not None


def check_size(secrets: Mapping[str, bytes], *, path: str) -> None:
    """Raise SourceError if the API server would refuse the Secret for its size."""
    size = sum(len(value) for value in secrets.values())
    if size > MAX_SECRET_BYTES:
        raise SourceError(
            f"{path}: the secrets take {size} bytes, and a Kubernetes Secret holds {MAX_SECRET_BYTES}",
            remedy="keep large files elsewhere and only their credentials here",
        )


def _value(value: YamlValue, *, path: str, line: int) -> bytes:
    if isinstance(value, YamlMapping):
        return _json(value, path=path, line=line)
    if isinstance(value, YamlScalar) and value.kind != "null":
        return value.text.encode()
    raise _refusal(path, line, "a service needs a mapping or a text")


def _json(value: YamlMapping, *, path: str, line: int) -> bytes:
    parts: list[str] = []
    size = 0
    # Piece by piece, since aliases can make a small file's JSON as large as memory.
    for part in json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).iterencode(_exact(value)):
        size += len(part)
        if size > MAX_SECRET_BYTES:
            raise _refusal(path, line, f"takes more than the {MAX_SECRET_BYTES} bytes of a Kubernetes Secret")
        parts.append(part)
    return "".join(parts).encode()


def _exact(value: YamlValue) -> Any:
    """Return ``value`` as JSON, with a number or boolean only where that loses nothing.

    A token that happens to look like a number (``0012``, ``1.10``, one of 20 digits) has to stay what it is.
    """
    match value:
        case YamlMapping(entries=entries):
            return {key: _exact(entry.value) for key, entry in entries.items()}
        case YamlSequence(items=items):
            return [_exact(item) for item in items]
        case YamlScalar(kind="null"):
            return None
        case YamlScalar(kind="string", text=text):
            return text
        case YamlScalar(text=text):
            return _number_or_boolean(text)


def _number_or_boolean(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return text
    return value if json.dumps(value) == text else text


def _refusal(path: str, line: int | None, message: str) -> SourceError:
    return SourceError(f"{path}:{line}: {message}")
