"""What a build is doing, read from the messages of either of Docker's builders.

The classic builder prints lines. BuildKit sends ``moby.buildkit.trace``: base64 of a protocol buffer, the
``StatusResponse`` of moby/buildkit's ``api/services/control/control.proto``. A few fields are read here.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_KEPT_LINES = 20
_TRACE = "moby.buildkit.trace"
_VERTEXES, _LOGS = 1, 3
_VERTEX_DIGEST, _VERTEX_NAME, _VERTEX_STARTED, _VERTEX_ERROR = 1, 3, 5, 7
_LOG_VERTEX, _LOG_MESSAGE = 1, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NOT_STEPS = ("[internal]", "copy /context")
_ABOUT_CONTAINERS = ("--->", "Removing intermediate container")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class BuildSteps:
    """Follows one build's messages: the image it made, the step it is at, and what that step printed.

    Args:
        report: Called with each step as it starts.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self.image_id: str | None = None
        self._report = report
        self._step: str | None = None
        self._failed: str | None = None
        self._names: dict[bytes, str] = {}
        self._output: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def step(self) -> str | None:
        """The step that failed; as long as none has, the one that started last."""
        return self._failed or self._step

    @property
    def output(self) -> tuple[str, ...]:
        """The last lines that this step printed."""
        return tuple(self._output)

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one message in; those of an unknown kind are left alone."""
        aux = message.get("aux")
        if message.get("id") == _TRACE and isinstance(aux, str):
            self._take_trace(aux)
        elif isinstance(aux, dict) and isinstance(aux.get("ID"), str):
            self.image_id = aux["ID"]
        elif isinstance(message.get("stream"), str):
            for line in _ESCAPES.sub("", message["stream"]).splitlines():
                self._take_line(line.strip())

    def _take_line(self, line: str) -> None:
        if line.startswith("Step "):
            self._start(line)
        elif line and not line.startswith(_ABOUT_CONTAINERS):
            self._output.append(line)

    def _take_trace(self, trace: str) -> None:
        try:
            fields = list(_fields(base64.b64decode(trace)))
        except (binascii.Error, IndexError, ValueError):
            return  # progress for people; the stream's own errors and image ID do not depend on it
        for number, value in fields:
            if number == _VERTEXES:
                self._take_vertex(dict(_fields(value)))
            elif number == _LOGS:
                text = dict(_fields(value)).get(_LOG_MESSAGE, b"").decode(errors="replace")
                self._output.extend(line for line in text.splitlines() if line.strip())

    def _take_vertex(self, vertex: Mapping[int, bytes]) -> None:
        digest = vertex.get(_VERTEX_DIGEST, b"")
        name = vertex.get(_VERTEX_NAME, b"").decode(errors="replace")
        if vertex.get(_VERTEX_ERROR):
            self._failed = name
        elif (
            _VERTEX_STARTED in vertex and self._names.get(digest) != name and not name.startswith(_NOT_STEPS)
        ):
            self._names[digest] = name
            self._start(name)

    def _start(self, step: str) -> None:
        self._step = step
        self._output.clear()
        self._report(step)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and content of each length-delimited field of a protocol buffer.

    Raises:
        IndexError: The message ends in the middle of a field.
        ValueError: It holds a field of an unknown type.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _BYTES:
            length, position = _varint(message, position)
            if position + length > len(message):
                raise IndexError(length)
            yield key >> 3, message[position : position + length]
            position += length
        elif kind == _VARINT:
            _, position = _varint(message, position)
        elif kind in {_FIXED64, _FIXED32}:
            position += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the highest bit says that another byte follows
            return value, position
        shift += 7
