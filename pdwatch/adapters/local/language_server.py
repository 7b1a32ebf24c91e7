"""Deno's language server, asked one question: which modules have errors now?

It keeps the program in memory, so that an answer after an edit takes a tenth, or less, of what ``deno check``
takes. The protocol is LSP 3.17 over the server's standard streams, with diagnostics that the client pulls.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.local.children import start_child
from pdwatch.core.deno_check import killed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_ERROR = 1
"""DiagnosticSeverity.Error."""
_LANGUAGES = {
    ".ts": "typescript",
    ".mts": "typescript",
    ".tsx": "typescriptreact",
    ".js": "javascript",
    ".mjs": "javascript",
    ".jsx": "javascriptreact",
}
MODULE_SUFFIXES = frozenset(_LANGUAGES)


class LanguageServerError(Exception):
    """The server can't be started, has ended, or refuses a request."""


class LanguageServerEndedError(LanguageServerError):
    """It has ended."""


class LanguageServer:
    """A running server for one directory. Use :func:`language_server`."""

    def __init__(self, child: asyncio.subprocess.Process, root: Path) -> None:
        self._child = child
        self._root = root
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._versions = count(1)
        self._texts: dict[str, str] = {}
        self._ended: asyncio.Future[LanguageServerEndedError] = asyncio.get_running_loop().create_future()

    async def initialize(self) -> None:
        """Introduce the client, as the protocol asks for.

        Raises:
            LanguageServerError: The server ended.
        """
        uri = self._uri("")
        await self._request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": uri,
                "workspaceFolders": [{"uri": uri, "name": "workflow"}],
                "capabilities": {"textDocument": {"diagnostic": {}}},
                "initializationOptions": {"enable": True, "lint": False, "config": "deno.json"},
            },
        )
        self._notify("initialized", {})

    async def erroneous(self, texts: Mapping[str, str]) -> frozenset[str]:
        """Return which of a directory's modules have errors when they hold these texts.

        Args:
            texts: Every module's text by its path under the directory.

        Raises:
            LanguageServerError: The server ended, or refused.
        """
        self._show(texts)
        reports = await asyncio.gather(*map(self._diagnostics, texts))
        return frozenset(path for path, report in zip(texts, reports, strict=True) if _has_error(report))

    async def listen(self) -> None:
        """Take in what the server says, until it ends."""
        assert self._child.stdout is not None
        how = "is not listened to"
        try:
            while message := await _read(self._child.stdout):
                self._take(message)
            status = await self._child.wait()
            how = f"was {killed(status)}" if status < 0 else f"ended with status {status}"
        finally:
            self._ended.set_result(LanguageServerEndedError(f"Deno's language server {how}"))
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(self._ended.result())

    async def end(self) -> LanguageServerEndedError:
        """Wait until the server ends; return how it has."""
        return await asyncio.shield(self._ended)

    def _show(self, texts: Mapping[str, str]) -> None:
        for path in self._texts.keys() - texts.keys():
            del self._texts[path]
            self._notify("textDocument/didClose", {"textDocument": {"uri": self._uri(path)}})
        for path, text in texts.items():
            known = self._texts.get(path)
            if known == text:
                continue
            self._texts[path] = text
            document = {"uri": self._uri(path), "version": next(self._versions)}
            if known is None:
                language = _LANGUAGES[path[path.rindex(".") :]]
                opened = {**document, "languageId": language, "text": text}
                self._notify("textDocument/didOpen", {"textDocument": opened})
            else:
                changes = [{"text": text}]
                self._notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    async def _diagnostics(self, path: str) -> Any:
        return await self._request("textDocument/diagnostic", {"textDocument": {"uri": self._uri(path)}})

    async def _request(self, method: str, params: Mapping[str, Any]) -> Any:
        if self._ended.done():
            raise self._ended.result()
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._send({"id": number, "method": method, "params": params})
        try:
            return await answer
        finally:
            del self._answers[number]

    def _notify(self, method: str, params: Mapping[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._child.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def _take(self, message: Mapping[str, Any]) -> None:
        number = message.get("id")
        if "method" in message:
            if number is not None:  # a request: for settings, which stay as they were given, or to register
                items = message.get("params", {}).get("items")
                self._send({"id": number, "result": None if items is None else [None] * len(items)})
            return
        answer = self._answers.get(number) if number is not None else None
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(LanguageServerError(_refusal(message["error"])))
        else:
            answer.set_result(message.get("result"))

    def _uri(self, path: str) -> str:
        return (self._root / path).as_uri() if path else f"{self._root.as_uri()}/"


@asynccontextmanager
async def language_server(deno: Path, root: Path) -> AsyncIterator[LanguageServer]:
    """Run a server for one directory, as long as the block runs.

    Args:
        deno: The program.
        root: The directory, which holds a ``deno.json``; the server reads there what it is not shown.

    Raises:
        LanguageServerError: It can't be started, or ended.
    """
    try:
        child = await start_child(
            [str(deno), "lsp"],
            directory=root,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise LanguageServerError(f"Deno's language server can't be started: {error.strerror}") from error
    server = LanguageServer(child, root)
    listening = asyncio.create_task(server.listen(), name=f"listen to language server {child.pid}")
    try:
        await server.initialize()
        yield server
    finally:
        if child.returncode is None:
            child.kill()  # it has nothing to save, and an orderly end takes it a while
        await child.wait()
        await listening


def _refusal(error: Mapping[str, Any]) -> str:
    return f"Deno's language server answers: {error.get('message')}"


def _has_error(report: Any) -> bool:
    return any(item.get("severity", _ERROR) == _ERROR for item in report["items"])


async def _read(stream: asyncio.StreamReader) -> Mapping[str, Any] | None:
    """Return the next message; None at the end of the stream."""
    length = 0
    while header := (await stream.readline()).strip():
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if not length:
        return None
    try:
        message: Mapping[str, Any] = json.loads(await stream.readexactly(length))
    except asyncio.IncompleteReadError:
        return None
    return message
