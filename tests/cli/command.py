"""Runs pdwatch as people do."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


async def pdwatch(*arguments: object, environ: Mapping[str, str] | None = None) -> Ended:
    """Run one command; ``environ`` comes on top of this process's environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pdwatch",
        *map(str, arguments),
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Ended(status=process.returncode, out=out.decode(), err=err.decode())
