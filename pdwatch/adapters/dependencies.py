"""Reads from a workflow directory what third-party code it uses, and how much of that it brings along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.files import read_verified
from pdwatch.core.build_context import LOCK_FILE, PACKAGE_FILE, deno_config_file
from pdwatch.core.deno_config import DENO_CONFIGS, image_settings, merged_deno_config, parse_json
from pdwatch.core.dependencies import ImportMap, fetch_files, third_party_imports, to_fetch, trees_of_deno
from pdwatch.core.model import Problem
from pdwatch.core.sources import DEPENDENCIES
from pdwatch.errors import InvalidWorkflowError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdwatch.core.dependencies import ThirdPartyImport
    from pdwatch.core.model import SourceSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdPartyCode:
    """The third-party code of one workflow."""

    deno_config: bytes
    """The image's ``deno.json``."""
    trees: frozenset[str]
    """Which of ``node_modules`` and ``vendor`` the directory brings along."""
    missing: tuple[ThirdPartyImport, ...]
    """What has to be fetched,"""
    fetch_files: Mapping[str, bytes]
    """and the directory that ``deno install`` fetches it in; empty when nothing has to."""


def third_party_code(snapshot: SourceSnapshot) -> ThirdPartyCode:
    """Read the modules that the nodes of a valid snapshot lead to, and its configuration.

    Raises:
        InvalidWorkflowError: The configuration can't be read.
        SourceChangedError: A file is no longer what the snapshot says.
        SourceError: It can't be read.
    """
    assert snapshot.spec is not None, "only a valid snapshot is built"
    files = {file.path: file for file in snapshot.files if file.target is None}

    def read(path: str) -> bytes | None:
        return b"".join(read_verified(snapshot, files[path])) if path in files else None

    def text(path: str) -> str | None:
        if path.split("/", 1)[0] in DEPENDENCIES:
            return None
        content = read(path)
        return None if content is None else content.decode(errors="replace")

    file = deno_config_file(snapshot.files)
    name = file.path if file else DENO_CONFIGS[0]
    config, package = (_parsed(snapshot, path, read(path)) for path in (name, PACKAGE_FILE))
    imports = third_party_imports(
        (node.path for node in snapshot.spec.nodes), read=text, imports=ImportMap.of(config, package)
    )
    trees = trees_of_deno((file.path.split("/", 1)[0] for file in snapshot.files), config)
    missing = to_fetch(imports, trees=trees)
    settings = image_settings(remote=any(each.remote for each in imports))
    merged = merged_deno_config(name, read(name), settings=settings)
    assert isinstance(merged, bytes), "a snapshot whose deno.json has problems is not valid"
    return ThirdPartyCode(
        deno_config=merged,
        trees=trees,
        missing=missing,
        fetch_files=fetch_files(missing, lock=read(LOCK_FILE), package=package) if missing else {},
    )


def _parsed(snapshot: SourceSnapshot, path: str, content: bytes | None) -> dict[str, Any]:
    parsed = {} if content is None else parse_json(path, content)
    if isinstance(parsed, Problem):
        raise InvalidWorkflowError(f"{snapshot.root}/{parsed}")
    return parsed
