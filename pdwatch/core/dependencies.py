"""Third-party imports: which ones a workflow's nodes lead to, and what it takes to fetch them.

docs/dependencies.md is for the people who write workflows, docs/adr/0012-third-party-imports.md says why.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pdwatch.core.build_context import LOCK_FILE, PACKAGE_FILE, identity
from pdwatch.core.image_config import EPOCH, ImageConfig
from pdwatch.core.imports import import_specifiers
from pdwatch.core.names import IMAGE_DEPENDENCIES_LABEL
from pdwatch.core.sources import NODE_MODULES, VENDOR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from pdwatch.core.build_context import ContextEntry

MODULE = "dependencies.ts"
"""The module whose imports are fetched: one line each."""
DEPENDENCIES_REPOSITORY = "pdwatch-dependencies"

_NPM = "npm:"
_REMOTE = ("jsr:", "https:", "http:")
_LOCAL = ("./", "../", "/")
_FETCH_CONFIG = {"nodeModulesDir": "auto", "vendor": True}
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ThirdPartyImport:
    """``specifier`` as Deno resolves it, and the first module, by path, that imports it."""

    specifier: str
    importer: str

    @property
    def remote(self) -> bool:
        """Whether it comes as modules from a URL, which belong into ``vendor/``; else as an npm package."""
        return self.specifier.startswith(_REMOTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMap:
    """How specifiers resolve in a workflow directory.

    That is the import map of ``deno.json`` (WHATWG HTML, "Import maps", with Deno's own rule that ``"a":
    "npm:b@1"`` stands for ``a/…`` too), and the names of the packages in ``package.json``, those for
    development among them.
    """

    imports: Mapping[str, str] = field(default_factory=dict)
    scopes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    packages: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Mapping[str, Any], package: Mapping[str, Any]) -> ImportMap:
        """Read it from ``deno.json`` and ``package.json``; what has another shape is left out."""
        scopes = config.get("scopes")
        return cls(
            imports=_strings(config.get("imports")),
            scopes={key: _strings(value) for key, value in scopes.items()}
            if isinstance(scopes, dict)
            else {},
            packages=frozenset(
                {*_strings(package.get("dependencies")), *_strings(package.get("devDependencies"))}
            ),
        )

    def resolve(self, specifier: str, importer: str) -> str | None:
        """Return a third-party specifier, or ``./`` and the path of a module of the workflow's.

        Args:
            specifier: As the module has it.
            importer: The module's path.

        Returns:
            None for what is neither: built into Deno, or nothing that resolves.
        """
        maps = [
            mapping
            for scope, mapping in sorted(self.scopes.items(), key=lambda item: len(item[0]), reverse=True)
            if f"./{importer}".startswith(scope)
        ]
        mapped = next(
            (target for mapping in (*maps, self.imports) if (target := _mapped(specifier, mapping))), None
        )
        if mapped is not None:
            specifier, importer = mapped, ""
        if specifier.startswith(_LOCAL):
            written = unquote(specifier.partition("?")[0].partition("#")[0])  # it is a URL, and names a file
            path = posixpath.normpath(posixpath.join("/", posixpath.dirname(importer), written))
            return f".{path}"
        if specifier.startswith((_NPM, *_REMOTE)) or _package(specifier) in self.packages:
            return specifier
        return None


def third_party_imports(
    entries: Iterable[str], *, read: Callable[[str], str | None], imports: ImportMap
) -> tuple[ThirdPartyImport, ...]:
    """Find what the modules of a workflow import from elsewhere, sorted by specifier.

    Only modules that a node leads to count, so that the tests beside them cost nothing.

    Args:
        entries: The paths of the nodes.
        read: Returns the text of a module by its path; None when the workflow has none.
        imports: How specifiers resolve.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    pending = [posixpath.normpath(path) for path in entries]
    while pending:
        path = pending.pop()
        text = None if path in seen else read(path)
        seen.add(path)
        for specifier in import_specifiers(text or ""):
            target = imports.resolve(specifier, path)
            if target is None:
                continue
            if target.startswith("./"):
                pending.append(target.removeprefix("./"))
            else:
                found[target] = min(path, found.get(target, path))
    return tuple(
        ThirdPartyImport(specifier=specifier, importer=found[specifier]) for specifier in sorted(found)
    )


def trees_of_deno(directories: Iterable[str], config: Mapping[str, Any]) -> frozenset[str]:
    """Return which of ``node_modules`` and ``vendor`` a workflow directory brings along for Deno.

    Without ``"vendor": true``, Deno leaves ``vendor/`` alone, and what lies there is the user's own.

    Args:
        directories: The names of its directories.
        config: Its ``deno.json``.
    """
    used = {NODE_MODULES, VENDOR} if config.get("vendor") is True else {NODE_MODULES}
    return frozenset(used.intersection(directories))


def to_fetch(imports: Iterable[ThirdPartyImport], *, trees: Collection[str]) -> tuple[ThirdPartyImport, ...]:
    """Return the imports that no tree of the workflow directory's holds; see :func:`trees_of_deno`."""
    return tuple(each for each in imports if (VENDOR if each.remote else NODE_MODULES) not in trees)


def fetch_files(
    imports: Iterable[ThirdPartyImport], *, lock: bytes | None, package: Mapping[str, Any]
) -> Mapping[str, bytes]:
    """Return the files of a directory in which ``deno install`` fetches ``imports``, by path.

    A lock file goes in without what it says of its workspace: Deno would drop the packages that the
    directory's ``deno.json`` does not name, and take their newest versions instead.

    Args:
        imports: At least one.
        lock: The user's ``deno.lock``.
        package: The user's ``package.json``.
    """
    wanted = tuple(imports)
    files = {
        "deno.json": json.dumps(_FETCH_CONFIG).encode(),
        MODULE: "".join(_statement(each.specifier) for each in wanted).encode(),
    }
    if lock is not None:
        files[LOCK_FILE] = _without_workspace(lock)
    named = {_package(each.specifier) for each in wanted if not each.specifier.startswith((_NPM, *_REMOTE))}
    if named:
        of_development = _strings(package.get("devDependencies")).items()
        imported = {name: version for name, version in of_development if name in named}
        dependencies = {**imported, **_strings(package.get("dependencies"))}
        files[PACKAGE_FILE] = json.dumps({"dependencies": dependencies}).encode()
    return files


def fetch_digest(files: Mapping[str, bytes], *, base_id: str, left_out: Collection[str]) -> str:
    """Return ``sha256:<64 hex>`` over all that decides what is fetched.

    Args:
        files: See :func:`fetch_files`.
        base_id: The base image's ID, whose Deno fetches.
        left_out: The trees that are not taken over.
    """
    contents = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in files.items())
    key = json.dumps([contents, base_id, sorted(left_out)])
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def trees_digest(entries: Iterable[ContextEntry]) -> str:
    """Return ``sha256:<64 hex>`` over a layer of trees that a workflow directory brings along.

    Args:
        entries: See :func:`pdwatch.core.build_context.split_trees`.
    """
    key = json.dumps([identity(entry) for entry in entries])
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def dependencies_reference(digest: str) -> str:
    """Return the name of the image that holds the third-party code of ``digest``."""
    return f"{DEPENDENCIES_REPOSITORY}:{digest.removeprefix('sha256:')[:_DIGITS]}"


def dependencies_config(digest: str, *, layer: str, base: Mapping[str, Any]) -> ImageConfig:
    """Return the configuration of an image that holds third-party code: one layer, which nobody runs.

    Args:
        digest: See :func:`fetch_digest` and :func:`trees_digest`.
        layer: The layer's diff ID, ``sha256:<64 hex>``.
        base: What the Engine API says of the base image; both are for the same platform.
    """
    config = {
        "architecture": base["Architecture"],
        "os": base["Os"],
        "created": EPOCH,
        "config": {"Labels": {IMAGE_DEPENDENCIES_LABEL: digest}},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": EPOCH, "created_by": "pdwatch"}],
    }
    return ImageConfig(content=json.dumps(config, sort_keys=True).encode(), layers=(layer,))


def _statement(specifier: str) -> str:
    kind = ' with { type: "json" }' if specifier.endswith(".json") else ""
    return f"import {json.dumps(specifier)}{kind};\n"


def _without_workspace(lock: bytes) -> bytes:
    try:
        content = json.loads(lock)
    except (ValueError, RecursionError):
        return lock  # Deno says what is wrong with it
    if isinstance(content, dict):
        content.pop("workspace", None)
    return json.dumps(content, sort_keys=True).encode()


def _strings(mapping: object) -> Mapping[str, str]:
    pairs = mapping.items() if isinstance(mapping, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _mapped(specifier: str, mapping: Mapping[str, str]) -> str | None:
    if specifier in mapping:
        return mapping[specifier]
    prefixes = [key for key in _prefixes(mapping) if specifier.startswith(key)]
    if not prefixes:
        return None
    longest = max(prefixes, key=len)
    target = mapping[longest] if longest in mapping else f"{mapping[longest.removesuffix('/')]}/"
    return target + specifier.removeprefix(longest)


def _prefixes(mapping: Mapping[str, str]) -> Iterator[str]:
    for key, target in mapping.items():
        if key.endswith("/"):
            yield key
        elif target.startswith((_NPM, "jsr:")):
            yield f"{key}/"


def _package(specifier: str) -> str:
    """Return the name of the package that a bare specifier is of: ``a``, or ``@scope/a``."""
    parts = specifier.split("/")
    return "/".join(parts[: 2 if specifier.startswith("@") else 1])
