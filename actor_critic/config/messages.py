"""Messages about settings: which values a field accepts, and what is wrong with a document."""

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import ValidationError
from pydantic.fields import FieldInfo

_MAX_CLAUSES = 20  # per error; explaining a long invalid document would take minutes


def explain(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """Describe all errors in a document of settings in one line, one clause per field.

    Args:
        error: The error of pydantic.
        fields: The fields of the model, by name.
    """
    clauses: dict[str, str] = {}
    for problem in error.errors(include_url=False)[:_MAX_CLAUSES]:
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            clauses[name] = f"unknown setting {show(name)}{nearest(name, list(fields))}"
        elif name in fields:
            clauses[name] = f"{name}: {show(problem['input'])} is not allowed; expected {describe_field(fields[name])}"
        else:
            clauses[name] = f"{show(problem['input'])} is not a JSON object of settings"
    left = error.error_count() - _MAX_CLAUSES
    return "; ".join([*clauses.values(), *([f"and {left} more"] if left > 0 else [])])


def describe_field(field: FieldInfo) -> str:
    """Describe in words the values that a field accepts, such as "a finite number at least 0 and at most 1"."""
    first, *others = alternatives(field.annotation)
    constraints = _describe_constraints(field.metadata)
    return " or ".join([f"{_describe_type(first)}{constraints}", *map(_describe_type, others)])


def alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union, without None."""
    if get_origin(annotation) in (Literal, Annotated, list, dict) or not get_args(annotation):
        return [] if annotation is type(None) else [annotation]
    return [member for argument in get_args(annotation) for member in alternatives(argument)]


def nearest(word: str, choices: list[str]) -> str:
    """Return a "did you mean" clause for a misspelt word, or an empty string if no choice is similar."""
    matches = difflib.get_close_matches(word, choices, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def show(value: Any) -> str:
    """Return a short text of a value for a message, with the type where the text alone is ambiguous."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits or deeper nesting than Python prints
        text = "a value too large to show"
    kind = "" if isinstance(value, (int, float, str)) and not isinstance(value, bool) else f" ({type(value).__name__})"
    return (text if len(text) <= 60 else f"{text[:57]}...") + kind


def _describe_type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(annotation))
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        return f"{_describe_type(kind)}{_describe_constraints(metadata)}"
    if get_origin(annotation) is list:
        return f"a list, each item {' or '.join(map(_describe_type, alternatives(get_args(annotation)[0])))}"
    if get_origin(annotation) is dict:
        return "a JSON object"
    return {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}[annotation]


def _describe_constraints(metadata: list[Any]) -> str:
    flat = [item for entry in metadata for item in (getattr(entry, "metadata", None) or [entry])]
    examples = [example for entry in metadata for example in (getattr(entry, "examples", None) or [])]
    words = [f"such as {', '.join(json.dumps(example) for example in examples)}"] if examples else []
    for item in flat:
        match item:
            case annotated_types.Gt(gt):
                words.append(f"above {gt}")
            case annotated_types.Ge(ge):
                words.append(f"at least {ge}")
            case annotated_types.Lt(lt):
                words.append(f"below {lt}")
            case annotated_types.Le(le):
                words.append(f"at most {le}")
            case annotated_types.MaxLen(length) if not examples:
                words.append(f"of at most {length} characters")
            case annotated_types.MinLen(length) if not examples:
                words.append(f"of at least {length} character")
            case _ if not examples and (pattern := getattr(item, "pattern", None)):
                words.append(f"matching {pattern}")
    return (" " + " and ".join(words)) if words else ""
