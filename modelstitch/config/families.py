"""Families of stitches, which decide what a stitch can express: a section for each."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from modelstitch.config.messages import mistake
from modelstitch.config.section import Section

NAME = "what a stitch can express"


class Linear(Section):
    """A linear map with bias, as in the paper: a convolution from maps, a linear layer from tokens and vectors."""

    name: Literal["linear"] = Field(description=NAME)


class LowRank(Section):
    """A linear map of limited rank, with bias."""

    name: Literal["low-rank"] = Field(description=NAME)
    rank: int = Field(ge=1, description="largest rank of the map; one that is no less than its size limits nothing")


class Orthogonal(Section):
    """A rotation or reflection, one scale for all channels, and a bias; semi-orthogonal between unequal sizes."""

    name: Literal["orthogonal"] = Field(description=NAME)


class Permutation(Section):
    """Each channel is one of the sender's, no two the same, with a scale and a bias of its own."""

    name: Literal["permutation"] = Field(description=NAME)


class Convolution(Section):
    """A convolution that sees each place and its neighbours, where the linear one sees the place alone."""

    name: Literal["convolution"] = Field(description=NAME)
    kernel: int = Field(ge=3, description="height and width of what it sees, an odd number of places: 3 is 3 x 3")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise mistake(((), f"{value} is even: expected an odd number, so that a place is in the middle"))
        return value


class Resized(Section):
    """The sender's grid is brought to the size of the receiver's first, then a linear map of each place."""

    name: Literal["resized"] = Field(description=NAME)
    mode: Literal["bilinear", "nearest"] = Field(description="how a grid is brought to another size")


class Bias(Section):
    """The sender's channels as they are, in their order, and a bias: no map is learned."""

    name: Literal["bias"] = Field(description=NAME)


class BatchNorm(Section):
    """A linear map of what batch normalisation gives, with statistics that stay as they are."""

    name: Literal["batch-norm"] = Field(description=NAME)


class MLP(Section):
    """Two linear maps with biases, and a ReLU between them, at each place."""

    name: Literal["mlp"] = Field(description=NAME)
    hidden: int = Field(ge=1, description="units of the hidden layer")


Family = Annotated[
    Linear | LowRank | Orthogonal | Permutation | Convolution | Resized | Bias | BatchNorm | MLP,
    Field(discriminator="name"),
]
LINEAR = Linear(name="linear")
# Whose weights are what training moves, so that a protocol may move them as if what they see were whitened.
FREE_MAPS = (Linear, Convolution, Resized)
# Whose stitch of least mean squared error is no closed form.
WITHOUT_CLOSED_FORM = (MLP,)


def label(family: Family) -> str:
    """A family with its settings in one word, for paths, tables and figures: `low-rank-4`."""
    return "-".join(str(value) for value in family.model_dump().values())
