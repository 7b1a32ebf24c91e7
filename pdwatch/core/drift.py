"""Drift: the fields that pdwatch sets and somebody has changed since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.core.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdwatch.core.model import Manifest

_MERGE_KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),),
    "volumes": (("name",),),
    "volumeMounts": (("mountPath",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
}
"""The keys by which Kubernetes tells a list's items apart (``x-kubernetes-list-map-keys``): of a container's
and of a Service's ports. Any other list is one value."""
_IDENTITY = frozenset({"apiVersion", "kind"})
"""Fields that the items of a list come without."""
_QUANTITIES = (".resources.requests.", ".resources.limits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field that is not as desired; ``observed`` is None when it is gone.

    ``path`` is written as Kubernetes writes field paths:
    ``spec.template.spec.containers[name="hello"].image``.
    """

    path: str
    desired: Any
    observed: Any


def drift(desired: Manifest, observed: Manifest) -> tuple[FieldChange, ...]:
    """Compare every field of ``desired`` with the object as the API server returned it.

    Fields that only ``observed`` has belong to others, or are defaults, and are no drift. Quantities are
    compared by value.
    """
    return tuple(
        change
        for name in desired
        if name not in _IDENTITY
        for change in _changes(name, desired[name], observed.get(name))
    )


def _changes(path: str, desired: Any, observed: Any) -> Iterator[FieldChange]:
    if isinstance(desired, dict) and isinstance(observed, dict):
        for name, value in desired.items():
            yield from _changes(f"{path}.{name}", value, observed.get(name))
    elif (keys := _merge_keys(path, desired)) and isinstance(observed, list):
        for item in desired:
            same = (other for other in observed if all(other.get(key) == item[key] for key in keys))
            yield from _changes(f"{path}[{_named(item, keys)}]", item, next(same, None))
    elif not _equal(path, desired, observed):
        yield FieldChange(path=path, desired=desired, observed=observed)


def _merge_keys(path: str, desired: Any) -> tuple[str, ...] | None:
    if not isinstance(desired, list) or not desired:
        return None
    candidates = _MERGE_KEYS.get(path.rpartition(".")[2], ())
    return next((keys for keys in candidates if all(key in desired[0] for key in keys)), None)


def _named(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return ",".join(
        f'{key}="{item[key]}"' if isinstance(item[key], str) else f"{key}={item[key]}" for key in keys
    )


def _equal(path: str, desired: Any, observed: Any) -> bool:
    if desired == observed:
        return True
    if observed is None or not any(part in path for part in _QUANTITIES):
        return False
    try:
        return parse_quantity(desired) == parse_quantity(str(observed))
    except ValueError:
        return False
