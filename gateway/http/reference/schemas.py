"""Read a JSON schema the way a page shows it: rows of fields, words for types and limits, and one example.

Covers what our own OpenAPI document uses, not the whole of JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
_MAX_DEPTH = 6
_LIMITS = (
    ("maxLength", "at most {} characters"),
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} entries"),
)


class Reader:
    """Reads the schemas of one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Keep the document's components."""
        self._schemas: Mapping[str, Schema] = document["components"]["schemas"]

    def resolve(self, schema: Schema) -> Schema:
        """Return what ``schema`` stands for: references followed, "or null" taken off."""
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return {**self.resolve(self._schemas[name]), **beside}
        choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if len(choices) == 1:
            beside = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
            return {**self.resolve(choices[0]), **beside}
        return schema

    def fields(self, schema: Schema, depth: int = 0) -> list[dict[str, Any]]:
        """Return one row per field: name, type, required, limits, description, pattern, and rows of its own fields."""
        whole = self.resolve(schema)
        if whole.get("type") == "array":
            return self.fields(whole["items"], depth)
        required = whole.get("required", ())
        return [self._row(name, one, name in required, depth) for name, one in whole.get("properties", {}).items()]

    def _row(self, name: str, schema: Schema, required: bool, depth: int) -> dict[str, Any]:
        whole = self.resolve(schema)
        items = self.resolve(whole["items"]) if whole.get("type") == "array" and "items" in whole else whole
        nested = "properties" in items and depth < _MAX_DEPTH
        return {
            "name": name,
            "type": self.kind(whole),
            "required": required,
            "limits": [text.format(f"{whole[key]:,}") for key, text in _LIMITS if key in whole],
            "pattern": items.get("pattern", ""),
            "choices": items.get("enum", ()),
            "description": schema.get("description", "") or ("" if nested else whole.get("description", "")),
            "fields": self.fields(items, depth + 1) if nested else [],
        }

    def kind(self, schema: Schema) -> str:
        """Return a word for the type."""
        whole = self.resolve(schema)
        if whole.get("type") == "array":
            return f"array of {self.kind(whole.get('items', {}))}"
        if whole.get("format") == "date-time":
            return "time"
        named = whole.get("type", "any")
        return " or ".join(named) if isinstance(named, list) else str(named)

    def example(self, schema: Schema, depth: int = 0) -> Any:
        """Return a value that fits, from the examples given with the fields; optional fields without one stay out."""
        whole = self.resolve(schema)
        if whole.get("examples"):
            return whole["examples"][0]
        if "enum" in whole:
            return whole["enum"][0]
        if whole.get("type") == "array":
            return [self.example(whole.get("items", {}), depth + 1)]
        if "properties" in whole and depth < _MAX_DEPTH:
            required = whole.get("required", ())
            return {
                name: self.example(one, depth + 1)
                for name, one in whole["properties"].items()
                if name in required or self._shown(one)
            }
        plain = {"string": "…", "integer": 0, "boolean": True, "object": {}}
        named = whole.get("type", "string")
        return plain.get(named if isinstance(named, str) else named[0], "…")

    def _shown(self, schema: Schema) -> bool:
        whole = self.resolve(schema)
        items = self.resolve(whole["items"]) if "items" in whole else whole
        return bool(whole.get("examples") or items.get("properties"))
