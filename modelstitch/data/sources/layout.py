"""Finds the split and the class of each image in a directory or archive, from names such as `train/<class>/<image>`."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from modelstitch.data.sources.members import MAX_BYTES, Member, is_clutter, members
from modelstitch.errors import ModelstitchError, printable

SPLITS = ("train", "test")
# Splits by folder name, in capitals or not. Many data sets call their test images validation.
SPLIT_OF = {"train": "train", "training": "train"}
SPLIT_OF |= dict.fromkeys(("test", "testing", "val", "valid", "validation"), "test")
# Suffixes of files that people keep with their images; they are skipped.
NOTES = {".csv", ".tsv", ".txt", ".json", ".xml", ".md", ".html", ".yaml", ".yml", ".log"}
# Tiny ImageNet has no labels for test/; the images of val/ are in one folder, with a list of their classes.
ANNOTATIONS = ("val", "val_annotations.txt")
IMAGES = "images"


class Place(NamedTuple):
    """Where an image belongs in the data set, whose order is that of sorted places."""

    split: str
    class_name: str
    file: str


@dataclass
class Survey:
    """What is known of a source from the names of its members.

    Attributes:
        places: the places of each member that is read; more than one if an archive has hard links to it.
        folders: names of the class folders in each split, with or without images.
        named: the name of each split's folder.
        passed_over: names of members that are skipped.
        respelled: classes whose folders are spelled in two forms of Unicode.
    """

    places: dict[str, list[Place]] = field(default_factory=dict)
    folders: dict[str, set[str]] = field(default_factory=lambda: {split: set() for split in SPLITS})
    named: dict[str, str] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)
    respelled: list[str] = field(default_factory=list)

    def order(self) -> dict[str, list[Place]]:
        """The places of each split's images, in the order of the data set."""
        every = sorted(place for places in self.places.values() for place in places)
        return {split: [place for place in every if place.split == split] for split in SPLITS}

    def classes(self) -> list[str]:
        return sorted({place.class_name for places in self.places.values() for place in places})


def survey(source: Path) -> Survey:
    """Find the place of every image, without decoding any.

    Raises:
        ModelstitchError: if a member is refused for its name, its kind or its size.
    """
    found, passed_over, labels = [], [], None
    sizes: dict[str, int] = {}  # sizes of files by name; a hard link in an archive may point to one
    repeated: set[str] = set()
    for member in members(source):
        parts = PurePosixPath(member.name).parts
        if member.name.startswith("/") or ".." in parts:
            refuse(source, member, "leaves the folder")
        if member.kind not in ("file", "folder", "copy"):
            refuse(source, member, f"is a {member.kind}, expected images and folders")
        if member.kind == "copy":
            if member.target not in sizes:
                refuse(source, member, f"is a link to {member.target!r}, which is not a file that stands before it")
            member = member._replace(size=sizes[member.target])
        elif member.kind == "file":
            member = member._replace(target=member.name)
            if member.name in sizes:
                repeated.add(member.name)
            sizes[member.name] = member.size
        if not parts or is_clutter(parts):
            continue
        depth = depth_of(parts)
        if depth is None:
            if member.kind != "folder":
                passed_over.append(member.name)
            continue
        if member.kind != "folder" and member.size > MAX_BYTES and not is_note(parts):
            refuse(source, member, f"has {member.size:,} bytes, more than the {MAX_BYTES:,} of an image")
        if parts[depth:] == ANNOTATIONS and member.kind == "file":
            labels = _annotations(source, member)
        found.append((member._replace(read=bytes), parts, depth))
    placed = _placed(source, found, labels)
    for member, _, _ in found:
        if member.target in repeated and member.target in placed.places:
            refuse(source, member, "is there twice")
    placed.passed_over = passed_over + placed.passed_over
    return placed


def _placed(source: Path, found: list[tuple[Member, tuple[str, ...], int]], labels: dict[str, str] | None) -> Survey:
    """The survey of the members in the splits' folders; `labels` are those of Tiny ImageNet's val/, else None."""
    survey, taken, tops, forms = Survey(), set(), set(), {}
    for member, parts, depth in found:
        tops.add("".join(parts[:depth]))
        if len(tops) > 1:
            refuse(source, member, f"stands in a second pair of {SPLITS[0]}/ and {SPLITS[1]}/, expected one")
        folder, *inside = parts[depth:]
        if is_note(parts) or (labels is not None and folder not in (SPLITS[0], ANNOTATIONS[0])):
            if member.kind != "folder":
                survey.passed_over.append(member.name)
            continue
        split = SPLIT_OF[folder.casefold()]
        if survey.named.setdefault(split, folder) != folder:
            word = "training" if split == SPLITS[0] else "test"
            refuse(source, member, f"stands beside {survey.named[split]}/, expected one folder of {word} images")
        if labels is not None:
            inside = _inside_tiny_imagenet(source, member, split, inside, labels)
        if member.kind == "folder" and len(inside) <= 1:
            survey.folders[split].update(map(_normal, inside))
            continue
        if member.kind == "folder" or len(inside) != 2:
            refuse(source, member, f"is not where an image is expected ({folder}/<class>/<image>)")
        place = Place(split, *map(_normal, inside))
        if not place.class_name.isprintable():
            refuse(source, member, "has a class name that is not printable text")
        if place in taken:
            refuse(source, member, "is there twice")
        taken.add(place)
        forms.setdefault(place.class_name, set()).add(inside[0])
        survey.places.setdefault(member.target, []).append(place)
    _check_classes(source, survey)
    survey.respelled = sorted(name for name, spelled in forms.items() if len(spelled) > 1)
    return survey


def _annotations(source: Path, member: Member) -> dict[str, str]:
    """Read the class of each image in Tiny ImageNet's val/: a line of its list has a file name, a class and a box."""
    try:
        lines = content(source, member).decode().splitlines()
        return {name: label for name, label, *_ in (line.split("\t") for line in lines)}
    except ValueError:
        refuse(source, member, "is not a list of images and classes, a tab between them")


def _inside_tiny_imagenet(
    source: Path, member: Member, split: str, inside: list[str], labels: dict[str, str]
) -> list[str]:
    """Class and file name of a member of `train/<class>/images/` or `val/images/`; for a folder at most its class."""
    if split == SPLITS[0]:
        return inside[:1] + inside[2:] if inside[1:2] == [IMAGES] else inside
    if inside[:1] != [IMAGES] or len(inside) != 2:
        return inside[1:]
    if inside[1] not in labels:
        refuse(source, member, f"is not in {'/'.join(ANNOTATIONS)}")
    return [labels[inside[1]], inside[1]]


def depth_of(parts: tuple[str, ...]) -> int | None:
    """The index of the split's folder in the parts of a member's name: 0, or 1 below a top folder; None without one."""
    return next((depth for depth, part in enumerate(parts[:2]) if part.casefold() in SPLIT_OF), None)


def is_note(parts: tuple[str, ...]) -> bool:
    """Whether a member is a text file that goes with the images, by its suffix."""
    return PurePosixPath(parts[-1]).suffix.casefold() in NOTES if parts else False


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _check_classes(source: Path, survey: Survey) -> None:
    found = {split: {place.class_name for place in places} for split, places in survey.order().items()}
    named, folders = survey.named, survey.folders
    for split in SPLITS:
        if not found[split]:
            raise ModelstitchError(f"{source}: no image in {split}/: expected {split}/<class>/<image>")
    for split, other in (SPLITS, SPLITS[::-1]):
        for name in sorted(folders[split] - found[split]):
            raise ModelstitchError(
                f"{source}: {named[split]}/{printable(name)}/ has no image: add some or remove the folder"
            )
        for name in sorted(found[split] - found[other] - folders[other]):
            raise ModelstitchError(
                f"{source}: class {name!r} is in {named[split]}/ but not in {named[other]}/: "
                "expected the same classes in both"
            )


def content(source: Path, member: Member) -> bytes:
    """Read the content of a member that is a file."""
    try:
        return member.read()
    except OSError as error:
        refuse(source, member, f"can't be read ({error.strerror or error})")


def refuse(source: Path, member: Member, why: str) -> NoReturn:
    """Raise a `ModelstitchError` that names the member and says why it is refused."""
    raise ModelstitchError(f"{source}: member {member.name!r} {why}: refused, nothing was written")
