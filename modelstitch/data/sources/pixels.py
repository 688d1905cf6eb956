"""Decodes image files to pixels: raster formats only, rotated as EXIF says, 8 bits per channel."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from modelstitch.errors import ModelstitchError, printable

# Far more than images for a Small ResNet have, far less than would exhaust a computer.
MAX_PIXELS = 2**24
# Only those formats of Pillow that hold pixels. An EPS, for example, is a program, which Pillow runs in Ghostscript.
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners use of 16


class NoImage(ModelstitchError):
    """An image that cannot be used; the message goes on from the file's name."""


class AnotherSize(NoImage):
    """An image of another size than expected."""


class Picture(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: uint8 (1 or 3, H, W).
        largest: the largest value of an image with 16 bits per channel, before the reduction to 8; 0 for other images.
        coloured: whether it has colours with 16 bits per channel, of which Pillow reads only the upper 8.
    """

    pixels: np.ndarray
    largest: int
    coloured: bool


def decode(content: bytes, depth: int, resize: int | None, size: tuple[int, int] | None = None) -> Picture:
    """Decode an image; a grayscale image with 16 bits is taken to use `depth` of them.

    Args:
        content: the content of the file.
        depth: one of `DEPTHS`.
        resize: the side to which it is scaled, see `resized`; None leaves its size.
        size: the height and width that it must have if it is not resized.

    Raises:
        NoImage: if it is damaged, too large, or not in one of the `FORMATS`.
        AnotherSize: if it has another size.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.height * image.width > MAX_PIXELS:
                raise NoImage(f"is {by((image.height, image.width))}, more than the {MAX_PIXELS:,} pixels of an image")
            coloured = ";16" in _raw_mode(image) and len(image.getbands()) > 1
            ImageOps.exif_transpose(image, in_place=True)
            found = image.height, image.width
            if resize is None and size is not None and found != size:
                raise AnotherSize(f"is {by(found)}")
            pixels, largest = _pixels(image, depth)
            if coloured:
                largest = int(pixels.max()) << 8 | 0xFF
            return Picture(pixels if resize is None else resized(pixels, resize), largest, coloured)
    except NoImage:
        raise
    except UnidentifiedImageError:
        raise NoImage(f"is not an image of a format that is read ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise NoImage(f"is a decompression bomb, more than the {MAX_PIXELS:,} pixels of an image") from None
    # For a damaged file a decoder may raise anything: OSError, SyntaxError, struct.error, IndexError ...
    except Exception as error:
        raise NoImage(f"can't be read ({printable(str(error))})") from error


def resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """The central square of an image, scaled to `side` x `side` by Pillow's bilinear filter, which is antialiased.

    Args:
        pixels: uint8 (1 or 3, H, W).
        side: height and width of the result, in pixels.

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


def depth_of(largest: int) -> int:
    """How many of 16 bits images use if this is their largest value: 12 for 4,095."""
    return next(depth for depth in DEPTHS if largest < 2**depth)


def by(size: tuple[int, int]) -> str:
    """Height and width as text, such as `32x48`."""
    return f"{size[0]}x{size[1]}"


def _raw_mode(image: Image.Image) -> str:
    """Pillow's name for the pixels' format in the file, such as `RGB;16B`."""
    return str(image.tile[0][3]) if image.tile else ""


def _pixels(image: Image.Image, depth: int) -> tuple[np.ndarray, int]:
    """Pixels as uint8 (1 or 3, H, W), and the largest value of a 16-bit grayscale image (else 0)."""
    if image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM"):
        values = np.asarray(image)  # not converted by Pillow, which clips to 8 bits
        return (values >> (depth - 8)).astype(np.uint8)[None], int(values.max())
    if image.mode in ("I", "F"):
        raise ValueError("32 bits per pixel, expected 8 or 16")
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))[None], 0
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1), 0
