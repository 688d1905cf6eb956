"""Images in folders `train/<class>/*` and `test/<class>/*`, in a directory, or in an archive that is not unpacked.

Archives are not trusted (`members`, `pixels`). A file that is not clearly an image of a class is refused, so that no
label is silently wrong.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from modelstitch import memory, progress
from modelstitch.data import datasets
from modelstitch.data.sources import layout, pixels
from modelstitch.data.sources.layout import SPLITS, content, depth_of, is_note, refuse
from modelstitch.data.sources.members import Member, is_clutter, is_listed, members, suffix_of
from modelstitch.errors import ModelstitchError, printable

UNBALANCED = 1.5  # as a multiple of the share of each class in a balanced split


class Glance(NamedTuple):
    """Sizes of a data set that is not made yet, and whether images and classes were counted; else they are assumed."""

    sizes: datasets.Sizes
    counted: bool


def prepare(source: Path | str, path: Path | str, resize: int | None = None) -> None:
    """Write the images as a data set with the name of the directory or archive.

    Args:
        source, resize: as for `read`.
        path: the data set's file.

    Raises:
        ModelstitchError: see `read`; nothing is written then.
    """
    source = Path(source)
    found = source.resolve()
    name = found.name[: len(found.name) - len(suffix_of(found))]
    train, test, classes = read(source, resize)
    datasets.write(path, name, train, test, classes)
    for split, images in zip(SPLITS, (train, test), strict=True):
        warn_of_majority(source, split, images.labels, classes)


def read(source: Path | str, resize: int | None = None) -> tuple[datasets.Split, datasets.Split, tuple[str, ...]]:
    """Training images, test images and class names; images are sorted by class, then by file name.

    Images have one channel if all are grayscale, else three. An alpha channel is dropped. 16 bits per channel are
    reduced to 8, from as many of them (`pixels.DEPTHS`) as the images use. Photographs are rotated as their EXIF data
    says. A common top folder (`cifar10/train/...`) is allowed. Hidden files, notes (`labels.csv`), and files outside
    `train/` and `test/` are skipped. Names of files and classes are compared and kept in Unicode's form NFC.

    Args:
        source: a directory or an archive; `train/` and `test/` may have the other names in `layout.SPLIT_OF`.
        resize: side of the images in pixels, see `pixels.resized`; None: all must have one size, which they keep.

    Raises:
        ModelstitchError: naming the source and the member: if a member leaves the folder, is a device, or is a link
            that is not followed; if a file is no image, is damaged, or has more than `MAX_PIXELS` or `MAX_BYTES`; if
            images have different sizes and are not resized; if there are two folders of test images; if class folders
            are empty or differ between `train/` and `test/`; if the archive is damaged; or if the images do not fit
            into memory.
    """
    source = Path(source)
    survey = layout.survey(source)
    if survey.passed_over:
        more = f" and {len(survey.passed_over) - 3:,} more" if len(survey.passed_over) > 3 else ""
        progress.say(f"{source}: passed over: {', '.join(map(printable, survey.passed_over[:3]))}{more}")
    for name in survey.respelled:
        progress.say(f"{source}: the folder {name!r} is spelled in two forms of Unicode: taken for one class")
    classes, order = survey.classes(), survey.order()
    images = _decode_all(source, survey, order, resize)
    train, test = (
        datasets.Split(images[split], np.array([classes.index(place.class_name) for place in order[split]]))
        for split in SPLITS
    )
    return train, test, tuple(classes)


def files(folder: Path | str) -> list[str]:
    """Names of a directory's files, without hidden ones.

    Raises:
        ModelstitchError: if the directory can't be listed.
    """
    return [member.name for member in members(Path(folder)) if member.kind == "file"]


def glance(source: Path | str, resize: int | None = None) -> Glance | None:
    """Sizes of the data set as far as they can be found quickly; None if no image can be read (`read` says why).

    In a compressed tar only the size of an image is found; the numbers of images and classes are assumed to be those of
    CIFAR-10.
    """
    source = Path(source)
    try:
        survey = layout.survey(source) if is_listed(source) else None
        for member in members(source):
            parts = PurePosixPath(member.name).parts
            if member.kind != "file" or is_clutter(parts) or is_note(parts) or depth_of(parts) is None:
                continue
            if survey is not None and member.name not in survey.places:
                continue
            image = pixels.decode(content(source, member), pixels.DEPTHS[-1], resize).pixels.shape
            if survey is None:
                return Glance(datasets.Sizes(image, 50_000, 10_000, 10), counted=False)
            train, test = (len(places) for places in survey.order().values())
            return Glance(datasets.Sizes(image, train, test, len(survey.classes())), counted=True)
    except ModelstitchError:
        return None
    return None


def warn_of_majority(source: Path, split: str, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    """Warn if the largest class is so large that always predicting it is far more accurate than chance."""
    counts = np.bincount(labels, minlength=len(classes))
    largest, share, chance = classes[int(counts.argmax())], counts.max() / len(labels), 1 / len(classes)
    if len(classes) == 1:
        progress.say(f"{source}: {split}: one class, {printable(largest)!r}: every network is right, by chance too")
    elif share > UNBALANCED * chance:
        progress.say(
            f"{source}: {split}: {share:.0%} of the images are of class {printable(largest)!r}: whoever always answers "
            f"that has an accuracy of {share:.3f}, and chance among {len(classes)} classes is {chance:.3f}"
        )


def _decode_all(
    source: Path, survey: layout.Survey, order: dict[str, list[layout.Place]], resize: int | None
) -> dict[str, np.ndarray]:
    """Decode the images of each split, in their order, to uint8 (N, C, H, W)."""
    depth = pixels.DEPTHS[-1]
    images, grayscale, largest, coloured = _decode_at(source, survey, order, resize, depth)
    if 0 < largest < 2 ** pixels.DEPTHS[-2]:
        if coloured:
            raise ModelstitchError(
                f"{source}: member {coloured!r} has 16 bits per channel, of which no image fills more than "
                f"{pixels.depth_of(largest)}, and of colours the upper 8 are read: expected 8 bits: convert them"
            )
        depth = pixels.depth_of(largest)
        progress.say(f"{source}: images of 16 bits have values up to {largest:,}: read as {depth} bits")
        del images  # memory may hold the data set only once
        images, grayscale, *_ = _decode_at(source, survey, order, resize, depth)
    return {split: images.pop(split)[:, :1].copy() for split in SPLITS} if grayscale else images


def _decode_at(
    source: Path, survey: layout.Survey, order: dict[str, list[layout.Place]], resize: int | None, depth: int
) -> tuple[dict[str, np.ndarray], bool, int, str]:
    """Images in three channels; if all are grayscale; the largest 16-bit value; the name of a 16-bit colour image."""
    index = {place: position for split in SPLITS for position, place in enumerate(order[split])}
    first, images, grayscale, largest, coloured, count = "", {}, True, 0, "", 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
        for member in progress.track(_wanted(source, survey), f"{source.name}: images", total=len(survey.places)):
            size = images[SPLITS[0]].shape[2:] if images else None
            picture = _decode(source, member, depth, resize, first, size)
            if not images:
                first, images = member.name, _room(source, order, picture.pixels.shape[1:])
            for place in survey.places[member.name]:
                images[place.split][index[place]] = picture.pixels
            grayscale = grayscale and len(picture.pixels) == 1
            largest = max(largest, picture.largest)
            coloured = coloured or (member.name if picture.coloured else "")
            count += 1
    if count != len(survey.places):
        raise ModelstitchError(f"{source}: changed while it was read: run again")
    return images, grayscale, largest, coloured


def _wanted(source: Path, survey: layout.Survey) -> Iterator[Member]:
    return (member for member in members(source) if member.kind == "file" and member.name in survey.places)


def _room(source: Path, order: dict[str, list[layout.Place]], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Empty arrays for the images of each split, in three channels.

    Raises:
        ModelstitchError: if they are larger than the free memory.
    """
    shapes = {split: (len(order[split]), 3, *size) for split in SPLITS}
    count, needed = sum(map(len, order.values())), sum(int(np.prod(shape)) for shape in shapes.values())
    free = memory.free_bytes()
    if free is not None and needed > free:
        raise ModelstitchError(
            f"{source}: {count:,} images of {pixels.by(size)} take {memory.in_gib(needed)} of memory, "
            f"{memory.in_gib(free)} are free: expected fewer or smaller ones: `resize` makes them smaller"
        )
    return {split: np.empty(shape, np.uint8) for split, shape in shapes.items()}


def _decode(
    source: Path, member: Member, depth: int, resize: int | None, first: str, size: tuple[int, int] | None
) -> pixels.Picture:
    """Decode one image; unless resized, it must have the `size` of the image `first`, if there is one."""
    try:
        return pixels.decode(content(source, member), depth, resize, size)
    except pixels.AnotherSize as error:
        refuse(source, member, f"{error}, but {first!r} is {pixels.by(size)}: expected one size, or `resize`")
    except pixels.NoImage as error:
        refuse(source, member, str(error))
