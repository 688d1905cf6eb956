"""Images on the device: kept as bytes, scaled and augmented in batches."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from modelstitch.config.section import Augmentation
from modelstitch.data.datasets import Dataset, Split
from modelstitch.errors import ModelstitchError
from modelstitch.seeds import derangement

EVALUATION_BATCH = 500


class DeviceImages:
    """A split on the device. Batches are scaled to 0..1 and channels-last; each network normalises them as it needs.

    Attributes:
        images: uint8 (N, C, H, W), or float32, which is not scaled.
        labels: int64 (N,).
        mean: mean colour of the data set's training images, float32 (1, C, 1, 1); augmentation fills holes with it.
        classes: number of classes of the data set.
    """

    def __init__(self, dataset: Dataset, split: Split, device: str = "cpu") -> None:
        self.images = torch.from_numpy(split.images).to(device)
        self.labels = torch.from_numpy(split.labels).to(device)
        self.mean = torch.from_numpy(dataset.mean).to(device).reshape(1, -1, 1, 1)
        self.device, self.classes = device, len(dataset.classes)

    def deranged(self, seed: int) -> "DeviceImages":
        """A copy in which every label goes with another image, by a uniformly random derangement.

        Raises:
            ModelstitchError: if there is only one image.
        """
        order = torch.from_numpy(derangement(len(self), seed)).to(self.device)
        images = copy.copy(self)
        images.images = self.images[order]
        return images

    def __len__(self) -> int:
        return len(self.images)

    def scaled(self, indices: Tensor | slice) -> Tensor:
        """Images (N, C, H, W) from 0 to 1, float32."""
        images = self.images[indices].to(torch.float32, memory_format=torch.channels_last)
        return images / 255 if self.images.dtype == torch.uint8 else images

    def in_order(self, size: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of images (N, C, H, W) and labels (N,), in order; the last batch may be smaller."""
        for start in range(0, len(self), size):
            batch = slice(start, start + size)
            yield self.scaled(batch), self.labels[batch]

    def shuffled(self, batch: int, seed: int, augmentation: Augmentation) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one epoch of augmented images (N, C, H, W) and labels (N,) in full batches, in random order.

        All random numbers are drawn on the CPU, so that images are the same on all devices.

        Raises:
            ModelstitchError: if the cutout or the shift is not smaller than the images.
        """
        for name in ("shift", "cutout"):
            if getattr(augmentation, name) >= min(self.images.shape[2:]):
                raise ModelstitchError(
                    f"augmentation.{name}: {getattr(augmentation, name)} leaves nothing of images of "
                    f"{self.images.shape[2]} x {self.images.shape[3]} pixels: expected less"
                )
        generator = torch.Generator().manual_seed(seed)
        order = to_device(torch.randperm(len(self), generator=generator), self.device)
        draws = to_device(torch.rand(len(self), 5, generator=generator), self.device)
        for start in range(0, len(self) - batch + 1, batch):
            chosen = order[start : start + batch]
            images = augment(self.scaled(chosen), draws[start : start + batch], augmentation, self.mean)
            yield images, self.labels[chosen]


def to_device(values: Tensor, device: str) -> Tensor:
    """Copy values from the CPU to the device; a GPU fetches them from pinned memory, while the CPU goes on."""
    if device == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def drawn(count: int, images: int, seed: int) -> Tensor:
    """Indices of `images` random ones out of `count` images, in random order; of all if there are fewer."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:images]


def augment(images: Tensor, draws: Tensor, augmentation: Augmentation, mean: Tensor) -> Tensor:
    """Flip half of the images, shift each by up to `shift` pixels per direction, and cut a `cutout` square out of each.

    Holes are filled with the mean colour, which is zero in normalised images.

    Args:
        images: images (N, C, H, W) from 0 to 1.
        draws: numbers in [0, 1) of shape (N, 5): flip, vertical and horizontal shift, vertical and horizontal cutout.
        mean: the mean colour (1, C, 1, 1).
    """
    count, _, height, width = images.shape
    rows, columns = (torch.arange(size, device=images.device) for size in (height, width))
    columns = columns.expand(count, -1)
    if augmentation.flip:
        columns = torch.where(draws[:, :1] < 0.5, width - 1 - columns, columns)
    rows = rows.expand(count, -1)
    if shift := augmentation.shift:
        framed = mean.expand(count, -1, height + 2 * shift, width + 2 * shift)
        framed = framed.to(images).contiguous(memory_format=torch.channels_last)
        framed[:, :, shift:-shift, shift:-shift] = images
        images = framed
        offsets = (draws[:, 1:3] * (2 * shift + 1)).long()
        rows, columns = rows + offsets[:, :1], columns + offsets[:, 1:]
    if augmentation.flip or augmentation.shift:
        # Channels last, so that all channels of a pixel are copied together.
        pixels = images.permute(0, 2, 3, 1)
        which = torch.arange(count, device=images.device).reshape(-1, 1, 1)
        images = pixels[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if cutout := augmentation.cutout:
        tops, lefts = (
            (draws[:, 3:4] * (height - cutout + 1)).long(),
            (draws[:, 4:5] * (width - cutout + 1)).long(),
        )
        across_rows, across_columns = (torch.arange(size, device=images.device) for size in (height, width))
        in_rows = (across_rows >= tops) & (across_rows < tops + cutout)
        in_columns = (across_columns >= lefts) & (across_columns < lefts + cutout)
        images = torch.where((in_rows[:, :, None] & in_columns[:, None, :])[:, None], mean, images)
    return images
