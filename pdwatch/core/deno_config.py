"""The image's ``deno.json``: the user's own, with the engine's module added to its import map.

Deno's configuration is JSON with comments and trailing commas, which become blanks here, so that the position
of an error is the one in the file.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pdwatch.core.model import Problem

DENO_CONFIGS = ("deno.json", "deno.jsonc")
"""The names that Deno looks for; the first that is there counts."""
ENGINE_IMPORT = ("pipedreamer", "./engine/mod.ts")

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])')


def merged_deno_config(path: str, content: bytes | None) -> bytes | Problem:
    """Return ``deno.json`` as the image has it, or what is wrong with the user's.

    Args:
        path: The user's file, relative to the workflow directory.
        content: What is in it; None when there is none.
    """
    name, target = ENGINE_IMPORT
    config = {} if content is None else _parse(path, content)
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
    merged = {**config, "imports": {**imports, name: target}}
    return f"{json.dumps(merged, indent=2, ensure_ascii=False)}\n".encode()


def _parse(path: str, content: bytes) -> dict[str, Any] | Problem:
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
