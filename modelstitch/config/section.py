"""The base of all sections of a study."""

import os
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationInfo

from modelstitch.config.messages import mistake

Read = TypeVar("Read")

Precision = Literal["float32", "bfloat16", "auto"]
PRECISION = "float32, bfloat16, or auto: bfloat16 where the processor or GPU computes it faster, else float32"
Seed = Annotated[int, Field(ge=0)]


def _check_repeats(values: tuple, info: ValidationInfo) -> tuple:
    found = []
    for index, value in enumerate(values):
        if (first := values.index(value)) < index:
            name = f" ({value})" if isinstance(value, str) else ""  # an alias may stand in the file
            found.append(((index,), f"repeats {info.field_name}[{first}]{name}: list each once"))
    if found:
        raise mistake(*found)
    return values


# YAML gives a list, which strict mode refuses for a tuple.
LISTED = (Strict(False), Field(min_length=1))
UNIQUE = (Strict(False), Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_check_repeats))


def _local(value: str) -> str:
    """A path with `~` and `$VARIABLE` expanded."""
    path = os.path.expanduser(os.path.expandvars(value))
    if unset := re.search(r"\$\w+|\$\{\w+\}", path):
        raise mistake(((), f"{value!r}: {unset[0]} is not set in this environment"))
    if not path.isprintable():
        raise mistake(((), f"{value!r} has control characters: expected a path without"))
    if set(path.replace("{seed}", "")) & {"{", "}"}:
        raise mistake(((), f"{value!r} has braces, which Snakemake takes for a wildcard: rename the file or folder"))
    return path


LocalPath = Annotated[str, AfterValidator(_local)]


class Section(BaseModel):
    """Part of a study: no unknown key, no value of another type, no change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Augmentation(Section):
    """Random changes of each training image, drawn anew each epoch."""

    flip: bool = Field(description="mirror each image left to right, or not, by chance")
    shift: int = Field(ge=0, description="largest shift in each direction, in pixels; 0 is none")
    cutout: int = Field(ge=0, description="side of the square that is blanked, in pixels; 0 is none")


def read(kind: type[Read] | Any, values: Any) -> Read:
    """A section, or one of a union of sections, from the plain values that a job gets."""
    return TypeAdapter(kind).validate_python(values)
