"""Pydantic's errors in the words of a study file: the key, the value, what was expected, and what to write instead."""

import difflib
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

Place = tuple[str | int, ...]

EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
BOOLEANS = ("true", "false", "yes", "no", "on", "off")
LONGEST_NUMBER = 30  # digits that anybody would write
YAML_BOOLEANS = " (YAML reads yes, no, on and off as true and false)"


def mistake(*found: tuple[Place, str]) -> PydanticCustomError:
    """An error for a validator to raise, from texts and their places below the validated value."""
    text = "; ".join(text for _, text in found)
    return PydanticCustomError("mistake", "{text}", {"text": text, "found": found})


def nearest(value: object, choices: Iterable[str]) -> str:
    """A hint at the choice with the most similar spelling; "" if there is none."""
    near = difflib.get_close_matches(str(value), list(choices), n=1, cutoff=0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""


def lines(error: ValidationError, model: type[BaseModel], values: Any) -> list[str]:
    """One line `key: problem` for each problem that `model` found in `values`."""
    return [line for details in error.errors() for line in _lines(details, model, values)]


def _lines(details: ErrorDetails, model: type[BaseModel], values: Any) -> Iterator[str]:
    place, value, context = details["loc"], details["input"], details.get("ctx", {})
    match details["type"]:
        case "mistake":
            found = context["found"]
        case "too_short" if value:
            return  # a list whose entries all have problems of their own
        case "union_tag_not_found":
            key = _discriminator(context)
            found = [((key,), f"missing key: expected {_variants(place, key, model)}")]
        case "union_tag_invalid":
            key = _discriminator(context)
            found = [((key,), _unknown(value[key], context["expected_tags"]))]
        case "invalid_key":
            place = place[:-1]
            found = [((), f"key {_shown(value)} is not text: put it in quotes{_hint(value, 'key')}")]
        case _:
            found = [((), _text(details, model))]
    for below, text in found:
        key = _key((*_place_in_file(place, values), *below))
        yield f"{key}: {text}" if key else text


def _text(details: ErrorDetails, model: type[BaseModel]) -> str:
    place, value, kind, context = details["loc"], details["input"], details["type"], details.get("ctx", {})
    if kind in EXPECTED:
        return f"{_told(value)}: expected {EXPECTED[kind]}{_hint(value, kind)}"
    if kind in BOUNDS:
        words, bound = BOUNDS[kind]
        return f"{_shown(value)} is out of range: expected {words} {context[bound]:g}"
    match kind:
        case "extra_forbidden":
            keys = _section(place[:-1], model).model_fields
            return f"unknown key{nearest(place[-1], keys) or ': expected ' + ', '.join(keys)}"
        case "missing":
            return f"missing key: {_field(place, model).description}"
        case "literal_error":
            return _unknown(value, context["expected"])
        case "too_short":
            return "empty list: expected at least one entry"
        case "string_too_short" | "string_too_long" | "string_pattern_mismatch":
            return f"{_shown(value)} can't be used here: {_field(place, model).description}"
        case _:
            return f"{_shown(value)}: {details['msg']}"


def _unknown(value: object, expected: str) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    return f"{_shown(value)} is not known: expected {listed(choices)}{nearest(value, choices)}"


def listed(choices: Sequence[str]) -> str:
    """Choices in a sentence: `a, b or c`."""
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))


def _hint(value: object, kind: str) -> str:
    """What to write instead, if YAML's reading of the value is the likely cause."""
    if kind in ("int_type", "float_type"):
        if isinstance(value, str) and (number := _number(value)) is not None:
            if len(f"{number:f}") > LONGEST_NUMBER:
                return ""
            whole = number == number.to_integral_value()
            return f" (YAML reads it as text: write {number:f})" if whole or kind == "float_type" else ""
        if isinstance(value, float) and value.is_integer() and len(whole := str(int(value))) <= LONGEST_NUMBER:
            return f" (write {whole})"
    if kind == "tuple_type" and isinstance(value, (str, int, float)):
        return f" (write [{value}])"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in BOOLEANS:
        return " (write it without quotes)"
    if isinstance(value, bool):
        return YAML_BOOLEANS
    if kind == "string_type" and value is not None and not isinstance(value, (Mapping, list)):
        return " (put it in quotes)"
    return ""


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _told(value: object) -> str:
    """A value and its type, in words."""
    kinds = {bool: "a truth value", str: "text", int: "a whole number", float: "a number"}
    if value is None or isinstance(value, (Mapping, list)):
        return f"{_shown(value)} is there"
    return f"{_shown(value)} is {kinds.get(type(value), f'a {type(value).__name__}')}"


def _shown(value: object) -> str:
    """A value as the study file spells it."""
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, (Mapping, list)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    return repr(value) if isinstance(value, str) else str(value)


def _key(place: Place) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _place_in_file(place: Place, values: Any) -> Place:
    """Pydantic's place without the names of variants that it contains (`dataset.cifar10.folder`)."""
    kept: list[str | int] = []
    for step, part in enumerate(place):
        last = step == len(place) - 1
        if isinstance(values, Mapping) and (part in values or last):
            values = values.get(part)
        elif isinstance(values, (list, tuple)) and isinstance(part, int):
            values = values[part]
        else:
            continue
        kept.append(part)
    return tuple(kept)


def _field(place: Place, model: type[BaseModel]) -> FieldInfo:
    return _section(place[:-1], model).model_fields[place[-1]]


def _section(place: Place, model: type[BaseModel]) -> type[BaseModel]:
    """The model at one of pydantic's places; a variant is recognised by a field with its name as the only value."""
    found = [model]
    for part in place:
        if isinstance(part, int):
            continue
        if len(found) > 1:
            key = next(key for key in found[0].model_fields if _tells_apart(key, found))
            found = [variant for variant in found if part in _values(variant, key)]
        else:
            found = _models_in(found[0].model_fields[part].annotation)
    return found[0]


def _values(model: type[BaseModel], key: str) -> tuple[Any, ...]:
    """The values that a key can have, if they can be listed."""
    return typing.get_args(model.model_fields[key].annotation) if key in model.model_fields else ()


def _tells_apart(key: str, models: Sequence[type[BaseModel]]) -> bool:
    """Whether a key has different values in each model, as a discriminator does."""
    values = [_values(model, key) for model in models]
    return all(values) and len(set().union(*values)) == sum(map(len, values))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]


def _variants(place: Place, key: str, model: type[BaseModel]) -> str:
    variants = _models_in(_field(place, model).annotation)
    return listed([name for variant in variants for name in typing.get_args(variant.model_fields[key].annotation)])


def _discriminator(context: Mapping[str, Any]) -> str:
    return context["discriminator"].strip("'")
