"""The use case's JSON schema as a page for people: every key, its type, default and sense."""

from __future__ import annotations

from typing import Any

HEAD = """# Every key of a use-case file

Generated from the model by `make golden`: the same facts as in the JSON schema that your editor reads. Start
from `lakeloop init` or a file in `conf/use_cases/`, not from here. **Bold** keys have no default.
"""
Schema = dict[str, Any]


def reference(schema: Schema) -> str:
    """Markdown: a section per object, in the order in which the keys lead there."""
    sections, seen, queue = [], set(), [("The file", "", schema)]
    while queue:
        title, path, found = queue.pop(0)
        sections.append(_section(title, found))
        for key, value in found.get("properties", {}).items():
            for name in _objects(value):
                if name not in seen:
                    seen.add(name)
                    place = f"{path}.{key}" if path else key
                    queue.append((f"`{place}`: {name}", place, _object(schema["$defs"][name])))
    return HEAD + "\n" + "\n".join(sections)


def _section(title: str, found: Schema) -> str:
    about = " ".join(found.get("description", "").split("\n\n")[0].split())
    required = set(found.get("required", []))
    rows = "\n".join(
        f"| {_key(key, key in required)} | {_type(value)} | {_default(value)} | {_cell(value)} |"
        for key, value in found.get("properties", {}).items()
    )
    return f"## {title}\n\n{about}\n\n| key | type | default | sense |\n|---|---|---|---|\n{rows}\n"


def _object(found: Schema) -> Schema:
    """The object form, where a shorter form exists beside it."""
    return next((member for member in found.get("anyOf", []) if "properties" in member), found)


def _key(key: str, required: bool) -> str:
    return f"**`{key}`**" if required else f"`{key}`"


def _objects(value: Schema) -> list[str]:
    """Names of the objects that a key's value may be, contain or map to."""
    if "$ref" in value:
        return [value["$ref"].rsplit("/", 1)[-1]]
    inner = [*value.get("anyOf", []), *value.get("oneOf", [])]
    inner += [
        part for part in (value.get("items"), value.get("additionalProperties")) if isinstance(part, dict)
    ]
    return [name for part in inner for name in _objects(part)]


def _type(value: Schema) -> str:  # noqa: PLR0911 - one return a kind of schema
    if "$ref" in value:
        return value["$ref"].rsplit("/", 1)[-1]
    if "enum" in value:
        return " / ".join(f"`{option}`" for option in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if options := value.get("anyOf") or value.get("oneOf"):
        return " / ".join(_type(option) for option in options if option.get("type") != "null")
    match value.get("type"):
        case "array":
            return f"list of {_type(value.get('items', {}))}"
        case "object":
            return f"map to {_type(value.get('additionalProperties', {}))}"
        case kind:
            return str(kind)


def _default(value: Schema) -> str:
    default = value.get("default")
    if default in (None, "", [], {}) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _cell(value: Schema) -> str:
    text = " ".join(str(value.get("description", "")).split())
    limits = [f"{sign} {value[name]}" for name, sign in LIMITS.items() if name in value]
    return " ".join(filter(None, [text, f"({', '.join(limits)})" if limits else ""])).replace("|", "\\|")


LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
