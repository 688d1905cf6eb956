"""Measures beside accuracy: a section for each, which a study leaves out if it does not want it."""

from types import NoneType
from typing import Annotated, get_args

from pydantic import AfterValidator, Field, ValidationInfo

from modelstitch.config.families import Family
from modelstitch.config.messages import mistake
from modelstitch.config.section import UNIQUE, Section
from modelstitch.config.stitches import AdamStitches, Start, StitchSettings


def _fewer_than_images(value: int, info: ValidationInfo) -> int:
    images = info.data.get("images")
    if images is not None and value >= images:
        raise mistake(((), f"{value} is too many: expected fewer than the {images} images"))
    return value


Neighbours = Annotated[int, AfterValidator(_fewer_than_images)]


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
    neighbours: Neighbours = Field(ge=1, description="k of the k-nearest-neighbour measures, fewer than `images`")


class GeneratedImages(Section):
    """Stitches from every sender layer into the receiver's input: the images that a network's layers make."""

    images: int = Field(ge=1, description="test images that image metrics are computed on; all where there are fewer")
    shown: int = Field(
        ge=1, description="test images in the figures, each of another class as far as there are classes"
    )


class StitchSpectra(Section):
    """What a stitch learned: singular values, nearness to orthogonal and to a permutation, where its energy goes."""

    images: int = Field(
        ge=2, description="test images that sensitivity and energy are measured on; all where there are fewer"
    )


class Predictors(Section):
    """One regression over all cells of the study: what predicts the accuracy of a cell?"""

    folds: int = Field(ge=2, description="of cross-validation over pairs of networks; as many as pairs where fewer")


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


class StatisticalSimilarity(Section):
    """How similar the layers of every cell are by their representations alone: CKA, CCA and others."""

    images: int = Field(ge=4, description="test images that are compared; all where there are fewer")
    permutations: int = Field(ge=1, description="random orders of the images that give each index its null")
    neighbours: Neighbours = Field(ge=1, description="k of mutual k nearest neighbours, fewer than `images`")


class Capacity(Section):
    """Accuracy of some pairs by what their stitches can express: the matrix of every family, by the protocol adam."""

    pairs: Annotated[tuple[NamedPair, ...], *UNIQUE] = Field(description="the ordered pairs, by their networks")
    families: Annotated[tuple[Family, ...], *UNIQUE] = Field(
        description="what stitches can express, a matrix for each: [{name: bias}, {name: linear}]"
    )
    epochs: float = Field(gt=0, description="passes over the training images; 0.25 is a quarter of them")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    weight_decay: float = Field(ge=0, description="weight decay of AdamW (decoupled), not of vectors such as a bias")
    statistics_images: int = Field(
        ge=1, description="training images that a start by least squares is computed from; all where there are fewer"
    )
    start: Start = Field(description="of every stitch: least-squares, or random")

    def training(self, task: StitchSettings, family: Family) -> AdamStitches:
        """Settings of a family's stitches: those of the study's task, with this section's protocol and numbers."""
        kept = task.model_dump(include={"batch", "augmentation", "precision", "sender_layers", "receiver_layers"})
        own = self.model_dump(exclude={"pairs", "families"})
        values = {"protocol": "adam", "family": family.model_dump(), "keep_stitches": False}
        return AdamStitches.model_validate(kept | own | values)


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
    """Which measure distinguishes each control from trained networks: two trained networks of one architecture."""

    reference: str = Field(description="architecture of the real thing; every other trained one is a control")
    alike: Annotated[tuple[str, ...], *UNIQUE] | None = Field(
        default=None, description="architectures that a measure should not tell apart from it; null is none"
    )


class Measures(Section):
    """What else is measured; each section may be left out."""

    probes: Probes | None = Field(default=None, description="a linear probe on every sender layer")
    hacking: Hacking | None = Field(default=None, description="does a stitch preserve, or hack?")
    generated_images: GeneratedImages | None = Field(
        default=None, description="images from stitches into the receiver's input"
    )
    stitch_spectra: StitchSpectra | None = Field(default=None, description="what a stitch learned")
    predictors: Predictors | None = Field(default=None, description="what predicts the accuracy of a cell?")
    training_budget: TrainingBudget | None = Field(default=None, description="the matrix as its training grows")
    statistical_similarity: StatisticalSimilarity | None = Field(
        default=None, description="CKA, CCA and others beside accuracy"
    )
    capacity: Capacity | None = Field(default=None, description="accuracy by what a stitch can express")
    clustered_noise: ClusteredNoise | None = Field(default=None, description="noise in clusters as the sender")
    rank_sensitivity: RankSensitivity | None = Field(
        default=None, description="accuracy as the sender's representations lose rank"
    )
    verdicts: Verdicts | None = Field(default=None, description="which measure tells each control from the real thing")


def section_of(name: str) -> type[Section]:
    """The section of a measure: `Hacking` for `hacking`."""
    return next(section for section in get_args(Measures.model_fields[name].annotation) if section is not NoneType)
