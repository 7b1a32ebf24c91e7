"""What goes into the image, and the build context that brings it there.

The context holds one tree for each layer, besides the Dockerfile. It exists only in the stream sent to
Docker: nothing is written into a workflow directory (seed, decision 7).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from pdwatch.core.compiled import compiled_workflow
from pdwatch.core.deno_config import DENO_CONFIGS, image_settings, merged_deno_config
from pdwatch.core.dockerfile import DEPENDENCIES_TREE, DOCKERFILE, ENGINE_TREE, SOURCES_TREE, dockerfile
from pdwatch.core.model import Node, SourceFile, Trigger, WorkflowSpec
from pdwatch.core.names import BASE_IMAGE
from pdwatch.core.sources import DEPENDENCIES, WORKFLOW_FILE
from pdwatch.errors import InvalidWorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdwatch.core.model import SourceSnapshot

ENGINE_DIRECTORY = "engine"
COMPILED_WORKFLOW = "workflow.json"
DIGEST_FILE = ".source-digest"
LOCK_FILE = "deno.lock"
PACKAGE_FILE = "package.json"

_GENERATED = frozenset({COMPILED_WORKFLOW, DIGEST_FILE})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """A regular file in the context: bytes that pdwatch made, or a file of the user's to read."""

    path: str
    content: bytes | SourceFile

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.size if isinstance(self.content, SourceFile) else len(self.content)


@dataclass(frozen=True, slots=True)
class ContextDirectory:
    """A directory in the context."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextLink:
    """A symbolic link in the context; ``target`` is relative to where it lies."""

    path: str
    target: str


ContextEntry: TypeAlias = ContextFile | ContextDirectory | ContextLink


def deno_config_file(files: Iterable[SourceFile]) -> SourceFile | None:
    """Return the Deno configuration that counts among ``files``; None when there is none."""
    by_path = {file.path: file for file in files}
    return next((by_path[name] for name in DENO_CONFIGS if name in by_path), None)


def build_context(
    snapshot: SourceSnapshot,
    *,
    dockerfile: str,
    engine: Mapping[str, bytes],
    deno_config: bytes,
) -> tuple[ContextEntry, ...]:
    """Return the context's entries, sorted by path; a directory comes before what lies in it.

    Args:
        snapshot: A valid one, whose files are shipped.
        dockerfile: The Dockerfile's text.
        engine: The engine's files by path below the engine's directory.
        deno_config: The image's ``deno.json``.

    Raises:
        InvalidWorkflowError: A file of the user's lies where pdwatch puts its own.
    """
    assert snapshot.spec is not None, "only a valid snapshot is built"
    compiled = json.dumps(compiled_workflow(snapshot.spec), ensure_ascii=False, separators=(",", ":"))
    contents: dict[str, bytes | SourceFile] = {
        DOCKERFILE: dockerfile.encode(),
        f"{DEPENDENCIES_TREE}/app/{DENO_CONFIGS[0]}": deno_config,
        f"{SOURCES_TREE}/app/{COMPILED_WORKFLOW}": f"{compiled}\n".encode(),
        f"{SOURCES_TREE}/app/{DIGEST_FILE}": snapshot.digest.encode(),
    }
    contents |= {f"{ENGINE_TREE}/app/{ENGINE_DIRECTORY}/{path}": content for path, content in engine.items()}
    replaced = deno_config_file(snapshot.files)
    for file in snapshot.files:
        first = file.path.partition("/")[0]
        if first == ENGINE_DIRECTORY or file.path in _GENERATED:
            raise InvalidWorkflowError(
                f"{snapshot.root / file.path} lies where the image has a file of pdwatch's own",
                remedy=f"rename it, or take it out of config.include in {WORKFLOW_FILE}",
            )
        if file != replaced:
            of_dependencies = first in DEPENDENCIES or file.path in {LOCK_FILE, PACKAGE_FILE}
            tree = DEPENDENCIES_TREE if of_dependencies else SOURCES_TREE
            contents[f"{tree}/app/{file.path}"] = file
    directories = {parent for path in contents for parent in _parents(path)}
    entries = [
        *(ContextDirectory(path) for path in directories),
        *(_entry(path, content) for path, content in contents.items()),
    ]
    return tuple(sorted(entries, key=lambda entry: entry.path.split("/")))


def with_dockerfile(context: Iterable[ContextEntry], text: str) -> tuple[ContextEntry, ...]:
    """Return a context with another Dockerfile."""
    written = ContextFile(path=DOCKERFILE, content=text.encode())
    return tuple(written if entry.path == DOCKERFILE else entry for entry in context)


def split_trees(
    context: Iterable[ContextEntry],
) -> tuple[tuple[ContextEntry, ...], tuple[ContextEntry, ...]]:
    """Take ``node_modules`` and ``vendor`` out of a context.

    Returns:
        The context without them, and the entries of a layer with them; empty when there is neither.
    """
    prefix = f"{DEPENDENCIES_TREE}/"
    rest, trees = [], []
    for entry in context:
        inside = entry.path.removeprefix(f"{prefix}app/").split("/", 1)[0]
        if entry.path.startswith(prefix) and inside in DEPENDENCIES:
            trees.append(replace(entry, path=entry.path.removeprefix(prefix)))
        else:
            rest.append(entry)
    return tuple(rest), (ContextDirectory("app"), *trees) if trees else ()


def identity(entry: ContextEntry) -> tuple[str, str, str | None]:
    """Return what tells an entry from others: kind, path, and its content's digest or where it leads to."""
    content: str | None = None
    if isinstance(entry, ContextLink):
        content = entry.target
    elif isinstance(entry, ContextFile):
        made = entry.content
        content = made.digest if isinstance(made, SourceFile) else hashlib.sha256(made).hexdigest()
    return type(entry).__name__, entry.path, content


def recipe_digest(engine: Mapping[str, bytes]) -> str:
    """Return a digest of all that pdwatch itself puts into images: the engine, and whatever it generates.

    It is part of every source digest, so that another pdwatch, whose images would differ, builds them anew.
    What is generated is shown by two samples, whose parts take every way through the code that generates.
    """
    files = {path: hashlib.sha256(content).hexdigest() for path, content in engine.items()}
    generated = [
        [dockerfile(sample, base=BASE_IMAGE, digest="", dependencies=("other",)), compiled_workflow(sample)]
        for sample in _SAMPLES
    ]
    config = merged_deno_config("", None, settings=image_settings(remote=True))
    assert isinstance(config, bytes)
    recipe = [sorted(files.items()), generated, config.decode()]
    return f"sha256:{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()}"


def _entry(path: str, content: bytes | SourceFile) -> ContextFile | ContextLink:
    if isinstance(content, SourceFile) and content.target is not None:
        return ContextLink(path=path, target=content.target)
    return ContextFile(path=path, content=content)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


_NODE = Node(id="a", path="./nodes/a.ts")
_SAMPLES = (
    WorkflowSpec(name="sample", version="1.0", triggers=(Trigger(type="manual"),), nodes=(_NODE,)),
    WorkflowSpec(
        name="sample",
        version="1.0",
        description="sample",
        triggers=(Trigger(type="cron", schedule="* * * * *"), Trigger(type="webhook", path="/")),
        nodes=(Node(id="b", path="./nodes/b.ts", config={"key": "value"}, net=("host",)),),
    ),
)
