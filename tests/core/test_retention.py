"""Which images stay in Docker."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.image_config import EMPTY_LAYER
from pdwatch.core.retention import (
    ABANDONED_AFTER,
    ON_ITS_WAY,
    Composition,
    Ingredient,
    ListedImage,
    StoredImage,
    copied_from,
    crowded,
    first_seen,
    freed_bytes,
    long_unused,
    orphaned,
    surplus,
    unused_ingredients,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=2)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def stored(number: int, *, workflow: str = "hello", **fields: object) -> StoredImage:
    """The image of the workflow's save of that number; the higher, the newer."""
    source_digest = f"sha256:{number:012x}{'0' * 52}"
    image = StoredImage(
        id=digest(number),
        workflow=workflow,
        version="1.0",
        source_digest=source_digest,
        references=(f"{workflow}:1-0-{number:012x}",),
        delivered_at=NOW - timedelta(days=1, minutes=-number),
    )
    return replace(image, **fields)  # type: ignore[arg-type]


FIVE = [stored(number) for number in (3, 1, 5, 2, 4)]
NAMELESS = stored(1, references=())


def removed(images: list[StoredImage], *in_use: str, keep: int = 3) -> dict[str, tuple[str, ...]]:
    return {each.image.id: each.references for each in surplus(images, in_use=in_use, keep=keep, now=NOW)}


@pytest.mark.parametrize(
    ("images", "in_use", "expected"),
    [
        pytest.param(FIVE[:3], (), {}, id="as many as are kept: none"),
        pytest.param(FIVE, (), {1, 2}, id="more: the oldest, whatever their order"),
        pytest.param(FIVE, ("hello:1-0-000000000001",), {2}, id="one that a ReplicaSet names stays"),
        pytest.param(FIVE, (digest(1), digest(2)), set(), id="those that containers run stay"),
        pytest.param(
            [*FIVE, *(stored(number, workflow="other") for number in (6, 7, 8))],
            (),
            {1, 2},
            id="another workflow's count by themselves",
        ),
        pytest.param(
            [
                *FIVE[1:],
                stored(3, pins=("registry:5000/team/hello@sha256:" + "a" * 64,), delivered_at=LONG_AGO),
            ],
            ("registry:5000/team/hello:1-0@sha256:" + "a" * 64,),
            {1},
            id="a pushed one that a ReplicaSet pins stays",
        ),
        pytest.param([NAMELESS, *FIVE[2:]], (), {1}, id="one without a name goes, however few there are"),
        pytest.param([NAMELESS], (digest(1),), set(), id="one without a name stays while it is run"),
        pytest.param(
            [replace(NAMELESS, building_since=NOW)], (), set(), id="what a build under way has made stays"
        ),
        pytest.param(
            [replace(NAMELESS, building_since=NOW - ABANDONED_AFTER)],
            (),
            {1},
            id="what a build left that nobody ended goes",
        ),
    ],
)
def test_what_goes(images: list[StoredImage], in_use: tuple[str, ...], expected: set[int]):
    assert removed(images, *in_use).keys() == {digest(number) for number in expected}


JUST_NOW, LONG_SINCE = NOW - ON_ITS_WAY / 2, NOW - ON_ITS_WAY


@pytest.mark.parametrize(
    ("delivered_at", "first_seen", "gone"),
    [
        pytest.param(
            JUST_NOW, None, set(), id="what has just been delivered, which nothing names yet, stays"
        ),
        pytest.param(LONG_SINCE, None, {digest(1)}, id="what was delivered a while ago goes"),
        pytest.param(None, JUST_NOW, set(), id="what another process has built and not delivered yet stays"),
        pytest.param(None, LONG_SINCE, {digest(1)}, id="what nobody has delivered for a while goes"),
        pytest.param(
            None, None, {digest(1)}, id="what was never delivered, and nobody has seen before, goes"
        ),
        pytest.param(LONG_SINCE, JUST_NOW, {digest(1)}, id="what was delivered counts from then"),
    ],
)
def test_an_image_on_its_way_to_a_cluster_stays(
    delivered_at: datetime | None, first_seen: datetime | None, gone: set[str]
):
    newer = [stored(number, delivered_at=NOW) for number in (2, 3, 4)]
    images = [stored(1, delivered_at=delivered_at), *newer]
    seen = {digest(1): first_seen} if first_seen else {}
    removals = surplus(images, in_use=(), keep=3, now=NOW, first_seen=seen)
    assert {each.image.id for each in removals} == gone


def test_who_asks_for_it_gets_rid_of_what_is_on_its_way_too():
    images = [stored(number, delivered_at=NOW) for number in range(2)]
    assert len(surplus(images, in_use=(), keep=1, now=NOW, grace=timedelta(0))) == 1


@pytest.mark.parametrize(
    ("references", "taken"),
    [
        pytest.param(("hello:1-0",), ("hello:1-0",), id="the moving tag"),
        pytest.param(
            ("registry:5000/team/hello:1-0", "hello:1-0-000000000001"),
            ("registry:5000/team/hello:1-0", "hello:1-0-000000000001"),
            id="both tags, in any registry",
        ),
        pytest.param(
            ("hello:1-0-000000000001", "other:1-0-000000000001", "hello:release", "hello:1-1"),
            ("hello:1-0-000000000001",),
            id="other workflows' and people's own tags stay",
        ),
        pytest.param(("hello:release",), None, id="an image that only people's tags name stays"),
    ],
)
def test_only_references_that_pdwatch_made_are_taken_away(
    references: tuple[str, ...], taken: tuple[str, ...] | None
):
    assert removed([stored(1, references=references), *FIVE[2:]], keep=2).get(digest(1)) == taken


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[StoredImage], list[str], int]:
    numbers = draw(st.lists(st.integers(0, 30), unique=True, max_size=12))
    images = [
        stored(
            number,
            workflow=(workflow := draw(st.sampled_from(["hello", "other"]))),
            references=draw(
                st.sampled_from(
                    [(), (f"{workflow}:1-0-{number:012x}",), (f"{workflow}:1-0", f"me/{workflow}:mine")]
                )
            ),
        )
        for number in numbers
    ]
    names = [name for image in images for name in (image.id, *image.references)]
    return (
        images,
        draw(st.lists(st.sampled_from(names), max_size=4)) if names else [],
        draw(st.integers(1, 4)),
    )


@given(worlds())
def test_what_is_used_and_the_newest_stay_and_a_second_time_there_is_nothing_to_do(
    world: tuple[list[StoredImage], list[str], int],
):
    images, in_use, keep = world
    removals = surplus(images, in_use=in_use, keep=keep, now=NOW)
    gone = {each.image.id for each in removals}
    for image in images:
        assert not (image.id in gone and {image.id, *image.references} & set(in_use))
    for workflow in ("hello", "other"):
        named = [image for image in images if image.workflow == workflow and image.references]
        newest = sorted(named, key=lambda image: str(image.delivered_at))[-keep:]
        assert gone.isdisjoint(image.id for image in newest)
    taken = {reference for each in removals for reference in each.references}
    left = [
        replace(image, references=tuple(ref for ref in image.references if ref not in taken))
        for image in images
    ]
    left = [image for image in left if image.references or image.id not in gone]
    assert surplus(left, in_use=in_use, keep=keep, now=NOW) == ()


@given(worlds())
def test_what_docker_need_not_be_asked_more_of_is_never_chosen(
    world: tuple[list[StoredImage], list[str], int],
):
    images, in_use, keep = world
    listed = [listed_as(image) for image in images]
    worth_it = {image.id for group in crowded(listed, keep=keep).values() for image in group}
    assert worth_it >= {each.image.id for each in surplus(images, in_use=in_use, keep=keep, now=NOW)}


def listed_as(image: StoredImage) -> ListedImage:
    return ListedImage(id=image.id, workflow=image.workflow, references=image.references)


@pytest.mark.parametrize(
    ("images", "keep", "expected"),
    [
        pytest.param(FIVE, 5, {}, id="as many as are kept"),
        pytest.param(FIVE, 4, {"hello": {1, 2, 3, 4, 5}}, id="one more"),
        pytest.param([NAMELESS], 3, {"hello": {1}}, id="one without a name"),
        pytest.param([*FIVE, stored(6, workflow="other")], 4, {"hello": {1, 2, 3, 4, 5}}, id="by workflow"),
    ],
)
def test_workflows_with_more_images_than_are_kept_are_worth_a_look(
    images: list[StoredImage], keep: int, expected: dict[str, set[int]]
):
    found = crowded([listed_as(image) for image in images], keep=keep)
    ids = {workflow: {image.id for image in group} for workflow, group in found.items()}
    assert ids == {workflow: {digest(number) for number in numbers} for workflow, numbers in expected.items()}


STEPS = [
    ("LABEL a=b", 0),
    ("COPY .sources/ /", 500),
    ("COPY .dependencies/ /", 0),
    ("WORKDIR /app", 0),
    ("COPY .engine/ /", 3000),
    ("ENV A=b", 0),
    ("FROM base", 100_000),
]
LAYERS = ["sha256:base", "sha256:engine", EMPTY_LAYER, "sha256:dependencies", "sha256:sources"]


@pytest.mark.parametrize(
    ("removed_layers", "size"), [(0, 0), (1, 500), (2, 500), (3, 500), (4, 3500), (5, 103_500)]
)
def test_the_bytes_that_are_freed_are_those_of_the_layers_that_are_gone(removed_layers: int, size: int):
    assert freed_bytes(LAYERS, STEPS, removed=removed_layers) == size


def test_the_images_that_an_image_was_made_with_are_in_its_history():
    steps = [("COPY .sources/ /", 500), ("COPY --from=pdwatch-dependencies:1a2b / /", 900), ("FROM base", 1)]
    assert copied_from(steps) == {"pdwatch-dependencies:1a2b"}


def test_an_empty_layer_that_the_builder_made_no_layer_for_counts_for_nothing():
    without_workdir = [layer for layer in LAYERS if layer != EMPTY_LAYER]
    assert freed_bytes(without_workdir, STEPS, removed=3) == 3500


PARENT = Ingredient(id="sha256:p", references=("pdwatch-parent:1",), layers=("b", "e"))
CODE = Ingredient(id="sha256:c", references=("pdwatch-dependencies:1",))


def made(*layers: str, copied: str = "pdwatch-dependencies:2") -> Composition:
    return Composition(layers=layers, copied=frozenset({copied}))


@pytest.mark.parametrize(
    ("ingredient", "images", "in_use", "goes"),
    [
        pytest.param(PARENT, [made("b", "e", "s")], (), False, id="a parent that an image is made of stays"),
        pytest.param(PARENT, [made("b", "f", "s"), made("b")], (), True, id="one of other layers goes"),
        pytest.param(PARENT, [], (), True, id="a parent goes where there are no images"),
        pytest.param(
            CODE, [made("b", copied="pdwatch-dependencies:1")], (), False, id="code that one has stays"
        ),
        pytest.param(CODE, [made("b", "e", "s")], (), True, id="code that was copied into none goes"),
        pytest.param(CODE, [], ("sha256:c",), False, id="what a container runs stays"),
        pytest.param(
            replace(CODE, references=()), [made("b")], (), True, id="code that has lost its name goes"
        ),
        pytest.param(
            replace(PARENT, references=("pdwatch-parent:1", "mine:1")),
            [],
            (),
            False,
            id="what somebody gave a second name stays",
        ),
    ],
)
def test_what_no_image_is_made_of_goes(
    ingredient: Ingredient, images: list[Composition], in_use: tuple[str, ...], *, goes: bool
):
    assert unused_ingredients([ingredient], images, in_use=in_use) == ((ingredient,) if goes else ())


def test_of_what_is_unused_that_goes_along_which_the_removed_images_were_made_of():
    just_built = replace(PARENT, id="sha256:new", layers=("b", "f"))
    just_fetched = replace(CODE, id="sha256:other", references=("pdwatch-dependencies:3",))
    unused = (PARENT, just_built, CODE, just_fetched)
    assert orphaned(unused, [made("b", "e", "s", copied="pdwatch-dependencies:1")]) == (PARENT, CODE)
    assert orphaned(unused, [made("b", "e", "s")]) == (PARENT,)
    assert orphaned(unused, []) == ()


@pytest.mark.parametrize(
    ("since", "goes"),
    [
        pytest.param(None, False, id="seen for the first time: a build may just have made it"),
        pytest.param(JUST_NOW, False, id="for less than ten minutes"),
        pytest.param(LONG_SINCE, True, id="for ten minutes"),
    ],
)
def test_what_is_unused_goes_once_it_has_been_seen_so_for_a_while(since: datetime | None, *, goes: bool):
    known = {"sha256:used again": LONG_SINCE} | ({CODE.id: since} if since else {})
    seen = first_seen([CODE.id], known, now=NOW)
    assert seen == {CODE.id: since or NOW}, "what is used again starts anew"
    assert long_unused([CODE], seen, now=NOW) == ((CODE,) if goes else ())
