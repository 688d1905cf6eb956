"""The images of a study: a variant for each source."""

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from modelstitch.config.section import Section


class Digits(Section):
    """The handwritten digits of scikit-learn, scaled to 32 x 32: needs no download."""

    source: Literal["digits"] = Field(description="where the images come from")


class Cifar(Section):
    """CIFAR-10 or CIFAR-100, downloaded unless the archive is there."""

    source: Literal["cifar10", "cifar100"] = Field(description="where the images come from")
    folder: Annotated[str, AfterValidator(os.path.expanduser)] = Field(
        min_length=1, description="folder of the archive, from the root of the checkout"
    )


class ImageFolder(Section):
    """Images of one's own: train/<class>/* and test/<class>/* in a directory or an archive."""

    source: Literal["imagefolder"] = Field(description="where the images come from")
    path: Annotated[str, AfterValidator(os.path.expanduser)] = Field(
        min_length=1, description="directory, or .tar, .tar.gz or .tar.xz archive, from the root of the checkout"
    )


Dataset = Annotated[Digits | Cifar | ImageFolder, Field(discriminator="source")]
