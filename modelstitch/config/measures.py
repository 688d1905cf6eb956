"""What else a study measures: a section for each measure, left out where it isn't asked for."""

from types import NoneType
from typing import Annotated, get_args

from pydantic import Field, ValidationInfo, field_validator

from modelstitch.config.messages import mistake
from modelstitch.config.section import UNIQUE, Section


class Probes(Section):
    """A linear probe on every layer of every sender: what can be read from it without a receiver."""

    images: int = Field(ge=1, description="training images of a probe; all where there are fewer")


class Hacking(Section):
    """Does a stitch preserve the expected representation, or hack the receiver? Of every cell of the study."""

    images: int = Field(
        ge=2,
        description="training images that show the expected representation, and test images that stitched "
        "ones are measured on; all where there are fewer",
    )
    neighbours: int = Field(ge=1, description="k of the k-nearest-neighbour measures, fewer than `images`")

    @field_validator("neighbours")
    @classmethod
    def _fewer_than_images(cls, value: int, info: ValidationInfo) -> int:
        images = info.data.get("images")
        if images is not None and value >= images:
            raise mistake(((), f"{value} is too many: expected fewer than the {images} images"))
        return value


class GeneratedImages(Section):
    """Stitches from every sender layer into the receiver's input: the images that a network's layers make."""

    images: int = Field(ge=1, description="test images that image metrics are computed on; all where there are fewer")
    shown: int = Field(
        ge=1, description="test images in the figures, each of another class as far as there are classes"
    )


class NamedPair(Section):
    """One ordered pair of the study."""

    sender: str = Field(description="a network of the study: R1111_trained_s0")
    receiver: str = Field(description="a network of the study: R1111_trained_s0")


class TrainingBudget(Section):
    """The task matrix of some pairs as its training grows, from two starts."""

    epochs: Annotated[tuple[Annotated[float, Field(gt=0)], ...], *UNIQUE] = Field(
        description="passes over the training images, a matrix for each: [0.25, 1, 4, 16]"
    )
    pairs: Annotated[tuple[NamedPair, ...], *UNIQUE] = Field(description="the ordered pairs, by their networks")


class ClusteredNoise(Section):
    """A sender of noise, one cluster per class, stitched into every layer of each receiver."""

    sigmas: Annotated[tuple[Annotated[float, Field(ge=0)], ...], *UNIQUE] = Field(
        description="deviations of the noise about each class's tensor, whose values are of 0 to 1: [0.1, 1]"
    )
    train_images: int = Field(ge=1, description="training images per class")
    test_images: int = Field(ge=1, description="test images per class")
    epochs: float = Field(gt=0, description="passes over the training images")
    batch: int = Field(ge=1, description="images per step")
    learning_rate: float = Field(gt=0, description="peak learning rate, which falls by a cosine to 0")


class RankSensitivity(Section):
    """Accuracy as the sender's representations are truncated to lower ranks, beside that of a linear probe."""

    images: int = Field(ge=2, description="training images that show principal components and train a probe")
    pairs: Annotated[tuple[NamedPair, ...], *UNIQUE] = Field(description="the ordered pairs, by their networks")


class Verdicts(Section):
    """Which measure tells each control from the real thing: two trained networks of one architecture."""

    reference: str = Field(description="architecture of the real thing; every other trained one is a control")


class Measures(Section):
    """What else is measured; each section may be left out."""

    probes: Probes | None = Field(default=None, description="a linear probe on every sender layer")
    hacking: Hacking | None = Field(default=None, description="does a stitch preserve, or hack?")
    generated_images: GeneratedImages | None = Field(
        default=None, description="images from stitches into the receiver's input"
    )
    training_budget: TrainingBudget | None = Field(default=None, description="the matrix as its training grows")
    clustered_noise: ClusteredNoise | None = Field(default=None, description="noise in clusters as the sender")
    rank_sensitivity: RankSensitivity | None = Field(
        default=None, description="accuracy as the sender's representations lose rank"
    )
    verdicts: Verdicts | None = Field(default=None, description="which measure tells each control from the real thing")


def section_of(name: str) -> type[Section]:
    """The section of a measure: `Hacking` of `hacking`."""
    return next(section for section in get_args(Measures.model_fields[name].annotation) if section is not NoneType)
