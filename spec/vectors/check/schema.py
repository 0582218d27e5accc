"""Holds a vector file against its JSON Schema, as far as the schemas of this
folder use that language; a word that is not known here is a failure."""

import re

from registry import Wrong

KNOWN = {
    "$schema", "$id", "$ref", "$defs", "title", "description", "type", "required", "properties",
    "additionalProperties", "items", "enum", "const", "pattern", "minimum", "maximum", "minItems",
    "minLength", "oneOf", "anyOf", "if", "then", "else", "unevaluatedProperties",
}
TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
    "null": type(None),
}


def has_type(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def complaint(value, schema, root, place):
    """Why a value is not of a schema, or nothing."""
    if schema is True:
        return None
    unknown = set(schema) - KNOWN
    if unknown:
        return f"{place}: the schema says {sorted(unknown)}, which this reader does not know"
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return complaint(value, target, root, place)
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if types and not any(has_type(value, name) for name in types):
        return f"{place}: not of type {types}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place}: none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        return f"{place}: not {schema['const']!r}"
    for word, count in (("oneOf", {1}), ("anyOf", set(range(1, 100)))):
        if word in schema:
            complaints = [complaint(value, each, root, place) for each in schema[word]]
            if complaints.count(None) not in count:
                return f"{place}: {complaints.count(None)} of {word} fit; {complaints}"
    branch = branch_of(value, schema, root, place)
    found = complaint(value, branch, root, place)
    if found:
        return found
    if isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            return f"{place}: not like {schema['pattern']}"
        if len(value) < schema.get("minLength", 0):
            return f"{place}: too short"
    if has_type(value, "integer"):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            return f"{place}: out of range"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            return f"{place}: too few items"
        found = (
            complaint(item, schema.get("items", True), root, f"{place}[{index}]")
            for index, item in enumerate(value)
        )
        return next(filter(None, found), None)
    if isinstance(value, dict):
        known = {*schema.get("properties", {}), *branch_properties(branch)}
        return complaint_of_object(value, schema, root, place, known)
    return None


def branch_of(value, schema, root, place):
    """What `if` adds to a schema for this value."""
    if "if" not in schema:
        return True
    word = "then" if complaint(value, schema["if"], root, place) is None else "else"
    return schema.get(word, True)


def branch_properties(branch):
    return [] if branch is True else branch.get("properties", {})


def complaint_of_object(value, schema, root, place, known):
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        return f"{place}: without {missing}"
    properties = schema.get("properties", {})
    for name, field in value.items():
        if name in properties:
            found = complaint(field, properties[name], root, f"{place}.{name}")
        elif schema.get("additionalProperties", True) is False:
            found = f"{place}: {name} is not expected"
        elif schema.get("unevaluatedProperties", True) is False and name not in known:
            found = f"{place}: {name} is not expected"
        else:
            found = None
        if found:
            return found
    return None


def check(value, schema):
    found = complaint(value, schema, schema, "$")
    if found:
        raise Wrong(f"not as its schema says: {found}")
