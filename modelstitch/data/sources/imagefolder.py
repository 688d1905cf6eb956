"""Images in folders, `train/<class>/*` and `test/<class>/*`: a directory, or an archive read without unpacking it.

The archive may come from anybody. Nothing of it is written to the disk under its own name, no header may claim more
memory than an image needs, and what is not an image of a class is refused, so that no label is silently wrong.
"""

import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np
from PIL import Image, UnidentifiedImageError

from modelstitch import progress
from modelstitch.data import datasets
from modelstitch.errors import ModelstitchError

SPLITS = ("train", "test")
# By the folder's name: many data sets call their test images validation.
SPLIT_OF = {"train": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}
OPENERS: dict[str, Callable[[Path], BinaryIO]] = {
    ".tar": partial(open, mode="rb"),
    ".tar.gz": gzip.open,
    ".tar.xz": lzma.open,
}
# Far above the images that a Small ResNet is trained on, far below what harms a computer.
MAX_PIXELS = 2**24
MAX_BYTES = 2**26
# What tarfile lets through: a name that is no text, a size that is no offset, headers nested without end.
OTHER_DAMAGE = (EOFError, OSError, ValueError, OverflowError, RecursionError)
CLUTTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}


class Member(NamedTuple):
    """What a directory or an archive holds: a "file", "folder", "link" or "device"."""

    name: str
    kind: str
    size: int
    read: Callable[[], bytes]


class Place(NamedTuple):
    """Where an image belongs; sorted, places are in the order of the data set."""

    split: str
    class_name: str
    file: str


def prepare(source: Path | str, path: Path | str, resize: int | None = None) -> None:
    """Write the images as a data set that has the name of the directory or archive.

    Args:
        source, resize: as of `read`.
        path: of the data set's file.

    Raises:
        ModelstitchError: see `read`; nothing is written then.
    """
    source = Path(source)
    name = source.resolve().name.removesuffix(_suffix(source))
    datasets.write(path, name, *read(source, resize))


def read(source: Path | str, resize: int | None = None) -> tuple[datasets.Split, datasets.Split, tuple[str, ...]]:
    """Training images, test images and class names; by class, then by file name, whatever the order in the archive.

    One channel if every image is grayscale, else three; an alpha channel is dropped, 16 bits become 8. A common top
    folder (`cifar10/train/...`) is allowed. Hidden files, and files outside `train/` and `test/`, are passed over.

    Args:
        source: a directory or an archive; `test/` may be called `val/`, `valid/` or `validation/`.
        resize: side of the images in pixels, see `resized`; None: all have one size, which they keep.

    Raises:
        ModelstitchError: naming the source and the member: one that leaves the folder, a link or a device, a file that
            is no image or is damaged, more than `MAX_PIXELS` or `MAX_BYTES`, images of different sizes that are not
            resized, two folders of test images, class folders that are empty or differ between `train/` and `test/`,
            a damaged archive.
    """
    source = Path(source)
    places = _survey(source)
    classes = sorted({place.class_name for place in places.values()})
    order = {split: sorted(place for place in places.values() if place.split == split) for split in SPLITS}
    images = _decode_all(source, places, order, resize)
    train, test = (
        datasets.Split(images[split], np.array([classes.index(place.class_name) for place in order[split]]))
        for split in SPLITS
    )
    return train, test, tuple(classes)


def fingerprint(folder: Path | str) -> str:
    """Digest of the names, sizes and modification times of a directory's files, hidden ones left out; no file is read.

    Raises:
        ModelstitchError: if the directory can't be listed.
    """
    lines = []
    for member in _members_of_folder(Path(folder)):
        if member.kind != "folder" and not _is_clutter(PurePosixPath(member.name).parts):
            status = os.lstat(os.path.join(folder, member.name))
            lines.append(f"{member.name}\0{status.st_size}\0{status.st_mtime_ns}\n")
    return hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """The central square of an image, scaled to `side` x `side` by Pillow's bilinear filter, which is antialiased.

    Args:
        pixels: uint8 (1 or 3, H, W).
        side: in pixels.

    Returns:
        uint8 (1 or 3, side, side).
    """
    height, width = pixels.shape[1:]
    edge = min(height, width)
    top, left = (height - edge) / 2, (width - edge) / 2
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    image = image.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + edge, top + edge))
    scaled = np.asarray(image)
    return scaled[None] if scaled.ndim == 2 else scaled.transpose(2, 0, 1)


def glance(source: Path | str, resize: int | None = None) -> datasets.Sizes | None:
    """Sizes of the data set as far as they can be told at once: of a folder all of them, of an archive the image's.

    What an archive does not tell is taken for CIFAR's. None where there is no readable image; `read` tells why.
    """
    source, counts, classes = Path(source), dict.fromkeys(SPLITS, 0), set()
    image: tuple[int, int, int] | None = None
    try:
        for member in _members(source):
            parts = PurePosixPath(member.name).parts
            depth = _depth(parts)
            if member.kind != "file" or depth is None or _is_clutter(parts) or len(parts) != depth + 3:
                continue
            image = image or _decode(source, member, None, resize).shape
            counts[SPLIT_OF[parts[depth]]] += 1
            classes.add(parts[depth + 1])
            if not source.is_dir():
                return datasets.Sizes(image, 50_000, 10_000, 10)
    except ModelstitchError:
        return None
    return datasets.Sizes(image, *counts.values(), len(classes)) if image and all(counts.values()) else None


def _survey(source: Path) -> dict[str, Place]:
    """Place of every image by its member's name, nothing decoded yet; refuses all that can be seen from the names."""
    places: dict[str, Place] = {}
    folders: dict[str, set[str]] = {split: set() for split in SPLITS}
    tops: set[str] = set()
    named: dict[str, str] = {}  # the folder of each split
    taken: set[Place] = set()
    outside = []
    for member in _members(source):
        parts = PurePosixPath(member.name).parts
        if member.name.startswith("/") or ".." in parts:
            _refuse(source, member, "leaves the folder")
        if member.kind in ("link", "device"):
            _refuse(source, member, f"is a {member.kind}, expected images and folders")
        if not parts or _is_clutter(parts):
            continue
        depth = _depth(parts)
        if depth is None:
            if member.kind == "file":
                outside.append(member.name)
            continue
        tops.add("".join(parts[:depth]))
        if len(tops) > 1:
            _refuse(source, member, f"stands in a second pair of {SPLITS[0]}/ and {SPLITS[1]}/, expected one")
        folder, *inside = parts[depth:]
        split = SPLIT_OF[folder]
        if named.setdefault(split, folder) != folder:
            _refuse(source, member, f"stands beside {named[split]}/, expected one folder of test images")
        if member.kind == "folder" and len(inside) <= 1:
            folders[split].update(inside)
            continue
        if member.kind == "folder" or len(inside) != 2:
            _refuse(source, member, f"is not where an image is expected ({folder}/<class>/<image>)")
        if member.size > MAX_BYTES:
            _refuse(source, member, f"has {member.size:,} bytes, more than the {MAX_BYTES:,} of an image")
        place = Place(split, *inside)
        if not place.class_name.isprintable():
            _refuse(source, member, "has a class name that is not printable text")
        if place in taken:
            _refuse(source, member, "is there twice")
        taken.add(place)
        places[member.name] = place
    _check_classes(source, places, folders, named)
    if outside:
        more = f" and {len(outside) - 3:,} more" if len(outside) > 3 else ""
        progress.say(f"{source}: passed over, outside train/ and {named['test']}/: {', '.join(outside[:3])}{more}")
    return places


def _depth(parts: tuple[str, ...]) -> int | None:
    """Where among the parts of a member's name the folder of its split stands, at the top or below one folder."""
    return next((depth for depth, part in enumerate(parts[:2]) if part in SPLIT_OF), None)


def _check_classes(source: Path, places: dict[str, Place], folders: dict[str, set[str]], named: dict[str, str]) -> None:
    found = {split: {place.class_name for place in places.values() if place.split == split} for split in SPLITS}
    for split in SPLITS:
        if not found[split]:
            raise ModelstitchError(f"{source}: no image in {split}/: expected {split}/<class>/<image>")
    for split, other in (SPLITS, SPLITS[::-1]):
        for name in sorted(folders[split] - found[split]):
            raise ModelstitchError(f"{source}: {named[split]}/{name}/ has no image: add some or remove the folder")
        for name in sorted(found[split] - found[other] - folders[other]):
            raise ModelstitchError(
                f"{source}: class {name!r} is in {named[split]}/ but not in {named[other]}/: "
                "expected the same classes in both"
            )


def _decode_all(
    source: Path, places: dict[str, Place], order: dict[str, list[Place]], resize: int | None
) -> dict[str, np.ndarray]:
    """Images of each split in their order, uint8 (N, C, H, W)."""
    index = {place: position for split in SPLITS for position, place in enumerate(order[split])}
    wanted = (member for member in _members(source) if member.name in places and member.kind == "file")
    first, images, grayscale, count = None, {}, True, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
        for member in progress.track(wanted, f"{source.name}: images", total=len(places)):
            pixels = _decode(source, member, first, resize)
            if first is None:
                first = (member.name, pixels.shape[1:])
                images = {split: np.empty((len(order[split]), 3, *pixels.shape[1:]), np.uint8) for split in SPLITS}
            place = places[member.name]
            images[place.split][index[place]] = pixels
            grayscale = grayscale and len(pixels) == 1
            count += 1
    if count != len(places):
        raise ModelstitchError(f"{source}: changed while it was read: run again")
    return {split: images[split][:, :1].copy() for split in SPLITS} if grayscale else images


def _decode(source: Path, member: Member, first: tuple[str, tuple[int, int]] | None, resize: int | None) -> np.ndarray:
    """One image, uint8 (1 or 3, H, W), resized or of the size of the `first` (its name and size) when there is one."""
    try:
        with Image.open(io.BytesIO(member.read())) as image:
            size = image.height, image.width
            if image.height * image.width > MAX_PIXELS:
                _refuse(source, member, f"is {_by(size)}, more than the {MAX_PIXELS:,} pixels of an image")
            if resize is not None:
                return resized(_pixels(image), resize)
            if first is not None and size != first[1]:
                _refuse(
                    source,
                    member,
                    f"is {_by(size)}, but {first[0]!r} is {_by(first[1])}: expected one size, or `resize`",
                )
            return _pixels(image)
    except ModelstitchError:
        raise
    except UnidentifiedImageError:
        _refuse(source, member, "is not an image that Pillow reads")
    except Image.DecompressionBombError:
        _refuse(source, member, f"is a decompression bomb, more than the {MAX_PIXELS:,} pixels of an image")
    # A damaged file raises whatever its decoder stumbles over: OSError, SyntaxError, struct.error, IndexError ...
    except Exception as error:
        _refuse(source, member, f"can't be read ({error})")


def _pixels(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM"):
        return (np.asarray(image) >> 8).astype(np.uint8)[None]  # Pillow's own conversion to 8 bits clips
    if image.mode in ("I", "F"):
        raise ValueError("32 bits per pixel, expected 8 or 16")
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))[None]
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _members(source: Path) -> Iterator[Member]:
    if source.is_dir():
        return _members_of_folder(source)
    if not source.exists():
        raise ModelstitchError(f"{source}: no such file or folder: expected images in train/<class>/ and test/<class>/")
    if not _suffix(source):
        raise ModelstitchError(f"{source}: expected a folder, or an archive named {', '.join(OPENERS)}")
    return _members_of_archive(source)


def _members_of_folder(folder: Path) -> Iterator[Member]:
    def fail(error: OSError) -> None:
        raise ModelstitchError(f"{error.filename}: can't be listed: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=fail):
        for path in (Path(root, name) for name in folders + files):
            status = path.lstat()
            kind = {stat.S_IFDIR: "folder", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
            name = path.relative_to(folder).as_posix()
            yield Member(name, kind.get(stat.S_IFMT(status.st_mode), "device"), status.st_size, path.read_bytes)


def _members_of_archive(archive: Path) -> Iterator[Member]:
    """Members in the archive's order; each can be read until the next is asked for.

    tarfile takes a damaged header for the end of the archive. The end must therefore be one: zeros, as tar writes them.
    """
    with _readable(archive), OPENERS[_suffix(archive)](archive) as opened:
        stream = _BoundedReads(opened)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                kind = "file" if member.isreg() else "folder" if member.isdir() else "device"
                kind = "link" if member.issym() or member.islnk() else kind
                yield Member(member.name, kind, member.size, partial(_extract, archive, tar, member))
        whole = stream.read(512) == bytes(512)
        while block := stream.read(2**20):
            whole = whole and not block.strip(b"\0")
        if not whole:
            raise EOFError("it is cut short or damaged inside")


def _extract(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _readable(archive):
        return tar.extractfile(member).read()


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    """Tell any failure of unpacking as one line."""
    try:
        yield
    except (tarfile.TarError, lzma.LZMAError, zlib.error, *OTHER_DAMAGE) as error:
        raise ModelstitchError(f"{archive}: not a whole archive ({error}): refused, nothing was written") from error


class _BoundedReads:
    """A stream of which no read is longer than an image may be: tarfile reads a long name at the length it claims."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int) -> bytes:
        if size > MAX_BYTES:
            raise ValueError(f"a header claims {size:,} bytes")
        return self.stream.read(size)


def _suffix(source: Path) -> str:
    return next((suffix for suffix in OPENERS if source.name.endswith(suffix)), "")


def _is_clutter(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part in CLUTTER for part in parts)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _refuse(source: Path, member: Member, why: str) -> NoReturn:
    raise ModelstitchError(f"{source}: member {member.name!r} {why}: refused, nothing was written")
