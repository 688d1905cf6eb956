"""The images of a study: a variant for each source."""

from typing import Annotated, Literal

from pydantic import Field

from modelstitch.config.section import LocalPath, Section

MAX_SIDE = 4096  # as many pixels as the largest image that is read


class Embedded(Section):
    """What ships with scikit-learn, 32 x 32: handwritten digits, alone or on photographs. Needs no download."""

    source: Literal["digits", "photo-digits"] = Field(description="where the images come from")


class Published(Section):
    """A published data set, downloaded unless its files are there."""

    source: Literal["cifar10", "cifar100", "svhn", "mnist", "fashion-mnist", "stl10"] = Field(
        description="where the images come from"
    )
    folder: LocalPath = Field(min_length=1, description="folder of the archive, from the root of the checkout")


class ImageFolder(Section):
    """Images of one's own: train/<class>/* and test/<class>/* (or val, ...) in a directory or archive."""

    source: Literal["imagefolder"] = Field(description="where the images come from")
    path: LocalPath = Field(
        min_length=1,
        description="a folder, or archive (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst, .zip), from the checkout's root",
    )
    resize: Annotated[int, Field(ge=1, le=MAX_SIDE)] | None = Field(
        default=None, description="side in pixels that each image's central square is scaled to; null: as they are"
    )


Dataset = Annotated[Embedded | Published | ImageFolder, Field(discriminator="source")]
