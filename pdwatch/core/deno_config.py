"""The image's ``deno.json``: the user's own, with the engine's module added to its import map.

Deno's configuration is JSON with comments and trailing commas, which become blanks here, so that the position
of an error is the one in the file.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pdwatch.core.model import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

DENO_CONFIGS = ("deno.json", "deno.jsonc")
"""The names that Deno looks for; the first that is there counts."""
ENGINE_IMPORT = ("pipedreamer", "./engine/mod.ts")

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])')


def image_settings(*, remote: bool) -> Mapping[str, object]:
    """Return what the image's ``deno.json`` says of third-party code, whatever the user's does.

    ``node_modules/`` is used as it lies there: with ``auto`` Deno would ask the registry what belongs into
    it. ``vendor/`` counts where modules come from URLs, and only there, since with ``"vendor": true`` Deno
    refuses to import from it by path, as workflows do that keep copies of their own there.

    Args:
        remote: Whether a module from a URL is imported.
    """
    return {"nodeModulesDir": "manual", **({"vendor": True} if remote else {})}


def merged_deno_config(
    path: str, content: bytes | None, *, settings: Mapping[str, object] | None = None
) -> bytes | Problem:
    """Return ``deno.json`` with the engine in its import map, or what is wrong with the user's.

    Args:
        path: The user's file, relative to the workflow directory.
        content: What is in it; None when there is none.
        settings: Takes the place of the user's own.
    """
    name, target = ENGINE_IMPORT
    config = {} if content is None else parse_json(path, content)
    if isinstance(config, Problem):
        return config
    if "importMap" in config:
        return Problem(
            path=path,
            where="importMap",
            message=f"a file of its own leaves no room for {name!r}; move its imports to {path}",
        )
    imports = config.get("imports", {})
    if not isinstance(imports, dict):
        return Problem(
            path=path, where="imports", message='must be an object, such as {"@std/": "jsr:/@std/"}'
        )
    merged = {**config, **(settings or {}), "imports": {**imports, name: target}}
    return f"{json.dumps(merged, indent=2, ensure_ascii=False)}\n".encode()


def config_problem(path: str, content: bytes) -> Problem | None:
    """Return what is wrong with a configuration file that Deno reads; None when nothing is.

    Args:
        path: One of :data:`DENO_CONFIGS`, or ``package.json``.
        content: What is in it.
    """
    found = merged_deno_config(path, content) if path in DENO_CONFIGS else parse_json(path, content)
    return found if isinstance(found, Problem) else None


def parse_json(path: str, content: bytes) -> dict[str, Any] | Problem:
    """Read an object from JSON with comments and trailing commas, or return what is wrong with it."""
    try:
        config = json.loads(_plain_json(content.decode("utf-8-sig")), parse_constant=_no_constant)
    except UnicodeDecodeError:
        return Problem(path=path, message="is not UTF-8 text")
    except json.JSONDecodeError as error:
        return Problem(path=path, line=error.lineno, column=error.colno, message=f"is not JSON: {error.msg}")
    except (ValueError, RecursionError) as error:
        return Problem(path=path, message=f"is not JSON: {error}")
    if not isinstance(config, dict):
        return Problem(path=path, line=1, column=1, message="must be an object: { … }")
    return config


def _plain_json(text: str) -> str:
    without_comments = _TOKEN.sub(_blank_comment, text)
    return _TRAILING_COMMA.sub(lambda match: match[0] if match[0][0] == '"' else " ", without_comments)


def _blank_comment(match: re.Match[str]) -> str:
    token = match[0]
    return token if token[0] == '"' else re.sub(r"[^\n]", " ", token)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")
