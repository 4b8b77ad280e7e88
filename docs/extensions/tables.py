"""Tables in Markdown, and the fields of a contract as tables: from its JSON Schema, so that they are what it checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

Schema = Mapping[str, Any]
_LIMITS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "pattern": "`{}`",
}
_FORMATS: Final = {"date-time": "time", "date": "day", "path": "path"}
_TYPES: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """A text as code, nothing where it is empty."""
    return f"`{text}`" if str(text) else ""


def schema_of(model: type[Any]) -> Schema:
    """The JSON Schema of what a contract writes."""
    return TypeAdapter(model).json_schema(mode="serialization")


def contract_text(schema: Schema, level: int) -> str:
    """The fields of a contract, then those of the contracts inside it, each once, below headings of a level."""
    parts = [_of_one(schema)]
    parts += [f"{'#' * level} {name}\n\n{_of_one(inner)}" for name, inner in schema.get("$defs", {}).items()]
    return "\n".join(part for part in parts if part)


def _of_one(schema: Schema) -> str:
    about = schema.get("description", "")
    text = f"{about}\n\n" if about else ""
    if "properties" in schema:
        required = schema.get("required", ())
        rows = [
            (code(name), form_of(field), _default(field, name in required), field.get("description", ""))
            for name, field in schema["properties"].items()
        ]
        return text + (table(("field", "form", "default", "meaning"), rows) if rows else "No fields.\n")
    if "enum" in schema:
        return text + " · ".join(code(value) for value in schema["enum"]) + "\n"
    choices = [part.rpartition("/")[2] for part in _references(schema)]
    return text + ("One of: " + ", ".join(code(choice) for choice in choices) + ".\n" if choices else "")


def _references(schema: Schema) -> Iterator[str]:
    for choice in (schema, *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        if "$ref" in choice:
            yield choice["$ref"]


def _default(field: Schema, required: bool) -> str:
    if "default" in field:
        value = field["default"]
        return "none" if value is None or value == "" else code(json.dumps(value, ensure_ascii=False))
    return "needed" if required else ""


def form_of(field: Schema) -> str:
    """What a value may be, in a few words."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return code(json.dumps(field["const"], ensure_ascii=False))
    if "enum" in field:
        return ", ".join(code(value) for value in field["enum"])
    if "anyOf" in field or "oneOf" in field:
        choices = [choice for choice in field.get("anyOf", field.get("oneOf", ())) if choice.get("type") != "null"]
        null = len(choices) < len(field.get("anyOf", field.get("oneOf", ())))
        return " or ".join(dict.fromkeys(form_of(choice) for choice in choices)) + (" or `null`" if null else "")
    if field.get("type") == "array":
        return "list of " + _items(field) + _limits(field)
    if field.get("type") == "object":
        inner = field.get("additionalProperties")
        return f"object: {form_of(inner)} by name" if isinstance(inner, dict) and inner else "object"
    words = _FORMATS.get(field.get("format", ""), _TYPES.get(field.get("type", ""), "any"))
    return words + _limits(field)


def _items(field: Schema) -> str:
    if "prefixItems" in field:
        return " and ".join(form_of(item) for item in field["prefixItems"])
    return form_of(field.get("items", {}))


def _limits(field: Schema) -> str:
    told = [words.format(field[name]) for name, words in _LIMITS.items() if name in field]
    return ", " + ", ".join(told) if told else ""
