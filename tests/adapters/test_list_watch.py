from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest

from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.list_watch import Collection, ListWatch, WatchPolicy
from pdwatch.core.watching import Listed, Removed, Upserted
from pdwatch.logs import Event
from tests.adapters.kubeconfigs import kubeconfig
from tests.adapters.recorded_log import RecordedLog
from tests.adapters.scripted_server import HANG, RESET, answer, scripted_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from pdwatch.core.watching import WatchChange
    from tests.adapters.scripted_server import ScriptedServer

Answer: TypeAlias = "tuple[bytes | str, ...]"

PODS = Collection(resource="pods", path="/api/v1/namespaces/dev/pods", selection={"labelSelector": "a=b"})
IMPATIENT = WatchPolicy(
    retry_base_s=0.002, retry_cap_s=0.004, refused_base_s=0.02, refused_cap_s=0.04, settled_s=3600.0
)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
GONE_ANSWER: Answer = (answer(410, GONE),)


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


def page(*items: dict[str, Any], version: int = 10, more: str | None = None) -> Answer:
    metadata = {"resourceVersion": str(version), "continue": more}
    return (answer(200, {"metadata": metadata, "items": items}),)


def refusal(code: int, message: str) -> Answer:
    return (answer(code, {"kind": "Status", "code": code, "message": message}),)


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def event(kind: str, manifest: dict[str, Any]) -> bytes:
    return chunk(json.dumps({"type": kind, "object": manifest}).encode() + b"\n")


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(version)}})


ADDED = event("ADDED", pod("b", 11))
QUIET: Answer = (HEAD, HANG)
"""A watch that is connected and has nothing to say."""


@dataclass(frozen=True)
class Followed:
    """A list-watch against a scripted server, and what it logged."""

    server: ScriptedServer
    changes: AsyncIterator[WatchChange]
    log: RecordedLog

    async def take(self, count: int) -> list[WatchChange]:
        return [await anext(self.changes) for _ in range(count)]

    def query(self, number: int) -> dict[str, str]:
        """The parameters of a request, counted from 0."""
        target = self.server.requests[number].split()[1]
        return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}

    @property
    def versions(self) -> list[str]:
        """Where each watch began."""
        queries = (self.query(number) for number in range(len(self.server.requests)))
        return [query["resourceVersion"] for query in queries if "watch" in query]

    @property
    def disconnections(self) -> list[str]:
        return [line["reason"] for line in self.log.named(Event.WATCH_DISCONNECTED)]


@asynccontextmanager
async def followed(
    path: Path, script: Iterable[Answer], policy: WatchPolicy = IMPATIENT
) -> AsyncIterator[Followed]:
    log = RecordedLog()
    async with (
        scripted_server(script) as server,
        connect(kubeconfig=kubeconfig(path / "config", server.url)) as api,
        aclosing(ListWatch(api, PODS, log=log, policy=policy).changes()) as changes,
    ):
        yield Followed(server, changes, log)


def listed(*items: dict[str, Any], version: int = 10) -> Listed:
    return Listed(items=items, resource_version=str(version))


async def test_everything_is_listed_and_then_watched_from_there(tmp_path: Path) -> None:
    script: list[Answer] = [
        page(pod("a", 5)),
        (HEAD, ADDED, event("MODIFIED", pod("a", 12)), event("DELETED", pod("a", 13))),
    ]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(4) == [
            listed(pod("a", 5)),
            Upserted(manifest=pod("b", 11)),
            Upserted(manifest=pod("a", 12)),
            Removed(manifest=pod("a", 13)),
        ]
        asked = follow.query(1)
        assert asked["labelSelector"] == "a=b"
        assert (asked["resourceVersion"], asked["allowWatchBookmarks"]) == ("10", "true")
        assert 300 <= int(asked["timeoutSeconds"]) <= 600
        assert [line["count"] for line in follow.log.named(Event.WATCH_LISTED)] == [1]


async def test_a_long_list_comes_in_pages(tmp_path: Path) -> None:
    script: list[Answer] = [page(pod("a", 5), more="more"), page(pod("b", 6)), QUIET]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(1) == [listed(pod("a", 5), pod("b", 6))]
        assert follow.query(0) == {"labelSelector": "a=b", "limit": "500"}
        assert follow.query(1) == {"labelSelector": "a=b", "limit": "500", "continue": "more"}


async def test_pages_that_expire_are_replaced_by_one_full_list(tmp_path: Path) -> None:
    script: list[Answer] = [
        page(pod("a", 5), more="more"),
        GONE_ANSWER,
        page(pod("a", 5), pod("b", 6)),
        QUIET,
    ]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(1) == [listed(pod("a", 5), pod("b", 6))]
        assert follow.query(2) == {"labelSelector": "a=b"}
        assert follow.disconnections == []


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(GONE_ANSWER, id="as a status"),
        pytest.param((HEAD, event("ERROR", GONE), END), id="as an event"),
    ],
)
async def test_a_version_that_is_gone_means_listing_again(tmp_path: Path, gone: Answer) -> None:
    script: list[Answer] = [
        page(pod("a", 5)),
        gone,
        page(pod("b", 20), version=20),
        (HEAD, event("ADDED", pod("c", 21)), HANG),
    ]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(3) == [
            listed(pod("a", 5)),
            listed(pod("b", 20), version=20),
            Upserted(manifest=pod("c", 21)),
        ]
        assert follow.versions == ["10", "20"]
        assert [line["reason"] for line in follow.log.named(Event.WATCH_RELISTED)] == ["expired"]
        assert follow.disconnections == []


async def test_a_version_that_is_gone_again_at_once_is_not_asked_for_without_a_pause(tmp_path: Path) -> None:
    script: list[Answer] = [page(), GONE_ANSWER, page(), GONE_ANSWER, page(), QUIET]
    async with followed(tmp_path, script) as follow:
        await follow.take(3)
        assert follow.disconnections == ["expired"]


async def test_a_watch_that_the_server_ends_goes_on_where_it_was(tmp_path: Path) -> None:
    script: list[Answer] = [page(), (HEAD, ADDED, END), (HEAD, event("ADDED", pod("c", 12)), HANG)]
    async with followed(tmp_path, script) as follow:
        await follow.take(3)
        assert follow.versions == ["10", "11"]
        assert follow.disconnections == []


async def test_a_bookmark_moves_the_place_to_go_on_from(tmp_path: Path) -> None:
    script: list[Answer] = [page(), (HEAD, bookmark(30), END), (HEAD, event("ADDED", pod("c", 31)), HANG)]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(2) == [listed(), Upserted(manifest=pod("c", 31))]
        assert follow.versions == ["10", "30"]


@pytest.mark.parametrize(
    "interruption",
    [
        pytest.param((HEAD, ADDED, RESET), id="a connection that is cut off"),
        pytest.param(
            (HEAD, ADDED, chunk(b'{"type": "MODIFIED", "obj'), RESET), id="an event that is cut off"
        ),
        pytest.param(
            (HEAD, ADDED, chunk(b'{"type": "MODIFIED", "obj'), END), id="an event that ends in the middle"
        ),
        pytest.param((HEAD, ADDED, chunk(b"upstream timed out\n"), END), id="words instead of an event"),
        pytest.param(
            (HEAD, ADDED, chunk(b'{"type": "ADDED", "object": null}\n'), END), id="an event about nothing"
        ),
        pytest.param(
            (HEAD, ADDED, event("ERROR", {"code": 500, "message": "etcdserver: leader changed"}), END),
            id="an error as an event",
        ),
    ],
)
async def test_an_interrupted_watch_goes_on_after_the_last_whole_event(
    tmp_path: Path, interruption: Answer
) -> None:
    script: list[Answer] = [page(), interruption, (HEAD, event("MODIFIED", pod("b", 12)), HANG)]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(3) == [
            listed(),
            Upserted(manifest=pod("b", 11)),
            Upserted(manifest=pod("b", 12)),
        ]
        assert follow.versions == ["10", "11"]
        assert follow.disconnections == ["unavailable"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param(429, "Too many requests, please try again later.\n", id="429 as text"),
        pytest.param(500, "Internal Server Error", id="500 as text"),
        pytest.param(502, "<html>Bad Gateway</html>", id="502 as a page"),
    ],
)
async def test_a_server_in_trouble_is_asked_again_and_reported_once(
    tmp_path: Path, code: int, words: str
) -> None:
    script: list[Answer] = [page(), *[(answer(code, words),)] * 3, (HEAD, ADDED, HANG)]
    async with followed(tmp_path, script) as follow:
        await follow.take(2)
        assert follow.versions == ["10"] * 4
        assert follow.disconnections == ["unavailable"]


async def test_every_disconnection_is_reported_once_it_had_worked_again(tmp_path: Path) -> None:
    script: list[Answer] = [
        page(),
        (HEAD, ADDED, RESET),
        (HEAD, bookmark(12), RESET),
        (HEAD, event("ADDED", pod("c", 13)), HANG),
    ]
    async with followed(tmp_path, script) as follow:
        await follow.take(3)
        assert follow.disconnections == ["unavailable", "unavailable"]


async def test_a_list_that_fails_is_tried_again(tmp_path: Path) -> None:
    script: list[Answer] = [refusal(500, "no"), refusal(500, "no"), page(pod("a", 5)), QUIET]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(1) == [listed(pod("a", 5))]
        assert follow.disconnections == ["unavailable"]
        assert len(follow.log.named(Event.WATCH_LISTED)) == 1


@pytest.mark.parametrize(("code", "reason"), [(401, "unauthorized"), (403, "forbidden")])
async def test_a_refusal_is_reported_and_tried_again_slowly(tmp_path: Path, code: int, reason: str) -> None:
    script: list[Answer] = [page(), *[refusal(code, "no")] * (2 if code == 401 else 1), (HEAD, ADDED, HANG)]
    async with followed(
        tmp_path, script, replace(IMPATIENT, refused_base_s=0.2, refused_cap_s=0.2)
    ) as follow:
        await follow.take(2)
        assert follow.disconnections == [reason]
        assert 0.1 <= follow.log.named(Event.WATCH_DISCONNECTED)[0]["retry_in_s"] <= 0.2
        assert set(follow.versions) == {"10"}


async def test_a_version_that_the_server_does_not_understand_means_listing_again(tmp_path: Path) -> None:
    script: list[Answer] = [
        page(),
        refusal(400, 'resourceVersion: Invalid value: "10"'),
        page(version=20),
        QUIET,
    ]
    async with followed(tmp_path, script) as follow:
        assert await follow.take(2) == [listed(), listed(version=20)]
        assert follow.disconnections == ["rejected"]


async def test_silence_after_a_bookmark_is_a_dead_connection(tmp_path: Path) -> None:
    script: list[Answer] = [page(), (HEAD, bookmark(12), HANG), (HEAD, event("ADDED", pod("c", 13)), HANG)]
    async with followed(tmp_path, script, replace(IMPATIENT, bookmark_silence_s=0.05)) as follow:
        assert (await follow.take(2))[1] == Upserted(manifest=pod("c", 13))
        assert follow.versions == ["10", "12"]
        assert follow.disconnections == ["unavailable"]


async def test_silence_without_bookmarks_is_borne_as_long_as_the_watch_may_last(tmp_path: Path) -> None:
    policy = replace(IMPATIENT, bookmark_silence_s=0.0, watch_s=0.05, grace_s=0.01)
    script: list[Answer] = [page(), (HEAD, ADDED, HANG), (HEAD, event("ADDED", pod("c", 13)), HANG)]
    async with followed(tmp_path, script, policy) as follow:
        assert (await follow.take(3))[2] == Upserted(manifest=pod("c", 13))
        assert follow.versions == ["10", "11"]


async def test_a_server_that_ends_watches_at_once_is_not_asked_without_a_pause(tmp_path: Path) -> None:
    script: list[Answer] = [page(), (HEAD, END), (HEAD, END), (HEAD, ADDED, HANG)]
    async with followed(tmp_path, script) as follow:
        await follow.take(2)
        assert follow.disconnections == ["unavailable"]


async def test_a_watch_that_lasted_had_worked_even_if_it_said_nothing(tmp_path: Path) -> None:
    script: list[Answer] = [page(), (HEAD, END), (HEAD, END), (HEAD, ADDED, HANG)]
    async with followed(tmp_path, script, replace(IMPATIENT, settled_s=0.0)) as follow:
        await follow.take(2)
        assert follow.disconnections == []


async def test_a_quiet_watch_is_told_to_work_again_once_it_has_stood_for_a_while(tmp_path: Path) -> None:
    script: list[Answer] = [page(), refusal(500, "no"), QUIET]
    async with followed(tmp_path, script, replace(IMPATIENT, settled_s=0.01)) as follow:
        await follow.take(1)
        waiting = asyncio.ensure_future(anext(follow.changes))

        await follow.log.until(Event.WATCH_RESUMED)

        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_watch_that_the_server_does_not_answer_is_not_told_to_work(tmp_path: Path) -> None:
    """As behind a tunnel that takes every connection."""
    policy = replace(IMPATIENT, settled_s=0.01, watch_s=0.2, grace_s=0.0)
    script: list[Answer] = [page(), refusal(500, "no"), (HANG,), (HEAD, ADDED, HANG)]
    async with followed(tmp_path, script, policy) as follow:
        await follow.take(2)

        assert follow.disconnections == ["unavailable"]


async def test_an_object_may_be_as_large_as_etcd_allows(tmp_path: Path) -> None:
    large = pod("large", 11) | {"words": "x" * 3 * 2**20}
    script: list[Answer] = [page(), (HEAD, event("ADDED", large), HANG)]
    async with followed(tmp_path, script) as follow:
        assert (await follow.take(2))[1] == Upserted(manifest=large)
