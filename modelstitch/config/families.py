"""Families of stitches: what a stitch can express, a variant for each."""

from typing import Literal

from pydantic import Field

from modelstitch.config.section import Section


class Linear(Section):
    """A linear map with bias, as in the paper: a convolution from maps, a linear layer from tokens and vectors."""

    name: Literal["linear"] = Field(description="what a stitch can express")


Family = Linear
