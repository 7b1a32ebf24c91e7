"""The JSON Schema of the settings file, for editors; ``config/pdwatch.schema.json`` is a copy of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdwatch.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def settings_schema() -> Mapping[str, Any]:
    """Return the schema, of JSON Schema's draft 2020-12."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
    return {**schema, "title": "Settings of pdwatch"}
