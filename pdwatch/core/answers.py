"""Mocked answers of ``fetch`` in test fixtures: what is wrong with them, and what they mean."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pdwatch.core.yaml_tree import YamlMapping, YamlSequence, YamlValue, child, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdwatch.core.model import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to a request.

    ``url`` may have ``*`` for anything, and a query counts only if there is a ``?`` in it. ``method`` None
    stands for any. ``error`` is the message that ``fetch`` rejects with instead of answering. ``repeat``
    says that it answers any number of requests, and ``optional`` that none need come.
    """

    url: str
    method: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    error: str | None = None
    optional: bool = False
    repeat: bool = False

    def __str__(self) -> str:
        return self.url if self.method is None else f"{self.method} {self.url}"


_PLACES = ("url", "service")
_CONTENTS = ("json", "body", "error")
_WITHOUT_CONTENT = frozenset({"204", "205", "304"})
"""The statuses that a Response can't have content with (Fetch standard, null body status)."""


def answer_problems(fetch: YamlValue | None, where: str) -> Iterator[Problem]:
    """Yield what no schema says: which keys of an answer need or exclude one another."""
    for index, value in enumerate(fetch.items if isinstance(fetch, YamlSequence) else ()):
        if isinstance(value, YamlMapping):
            yield from _problems(value, f"{where}[{index}]")


def _problems(value: YamlMapping, where: str) -> Iterator[Problem]:
    keys = value.entries
    if not any(place in keys for place in _PLACES):
        yield value.position.problem("needs url, or service and path", where=where)
    for group in (_PLACES, _CONTENTS):
        for key in [name for name in keys if name in group][1:]:
            yield keys[key].key_position.problem(f"only one of {', '.join(group)} can be given", where=where)
    status = text_of(child(value, "status"))
    for key in ("json", "body") if status in _WITHOUT_CONTENT else ():
        if key in keys:
            message = f"an answer of status {status} has no content"
            yield keys[key].key_position.problem(message, where=where)
    if "path" in keys and "url" in keys:
        yield keys["path"].key_position.problem("belongs to service; url has the path in it", where=where)


def answers(items: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
    """Return the answers that a fixture without problems lists."""
    return tuple(map(_answer, items))


def _answer(item: Mapping[str, Any]) -> Answer:
    url = item.get("url") or f"https://api.{item['service']}.com{item.get('path', '/*')}"
    is_json = "json" in item
    kind = {"content-type": "application/json"} if is_json else {}
    given = {name.lower(): value for name, value in item.get("headers", {}).items()}
    return Answer(
        url=url,
        method=item.get("method"),
        status=item.get("status", 200),
        headers={**kind, **given},
        body=json.dumps(item["json"]) if is_json else item.get("body", ""),
        error=item.get("error"),
        optional=item.get("optional", False),
        repeat=item.get("repeat", False),
    )


def example_answer(method: str, url: str) -> str:
    """Return the line of a fixture that would answer a request."""
    of_service = re.fullmatch(r"https://api\.([\w-]+)\.com(/.*)", url)
    place = {"service": of_service[1], "path": of_service[2]} if of_service else {"url": url}
    asked = {} if method == "GET" else {"method": method}
    return json.dumps({**place, **asked, "json": {}}, ensure_ascii=False)
