"""Images that do not fit in memory, decoded on demand by a DataLoader (ImageNet)."""

import hashlib
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempdir
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2

from robench.data.augment import Augmentation
from robench.data.decode import decode, is_turned
from robench.data.images import Images
from robench.data.index import check_size
from robench.data.notices import notify_turned
from robench.data.sampling import balanced_order
from robench.errors import UserError
from robench.system.processes import Shard

IN_MEMORY = 2**30
"""Bytes of a sample that is held in memory: 7,000 images of ImageNet; all of its test images are
seven times as large."""


@dataclass(frozen=True)
class ImageStream:
    """Labeled image files, resized and cropped to one size as they are read.

    Attributes:
        files: (path, label) of each image.
        root: the folder that contains all paths.
        size: height and width of the images that are yielded.
        workers: number of processes that decode; 0 decodes in this process.
        sizes: the size of each file in bytes, as it was listed; None if that is not known.
    """

    files: tuple[tuple[str, int], ...]
    root: Path
    size: int = 224
    workers: int = min(8, os.cpu_count() or 1)
    sizes: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return 3, self.size, self.size

    def batch_count(self, batch_size: int) -> int:
        """Return the number of batches in a shuffled pass."""
        whole, rest = divmod(len(self), batch_size)
        return whole + (rest > 1)

    def batches(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
        shard: Shard = Shard(),  # noqa: B008 - it is frozen
        skip: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, size, size) float32 in [0, 1] and labels (B,) int64.

        With a generator: shuffled, random resized crops, random flips if ``augmentation`` has
        them. Each image's crop depends on the generator and the image alone, not on the workers.
        Without: in order, the shorter side resized to 8/7 of ``size``, center crop.
        Only ``shard`` of each batch is read and yielded, and nothing of the first ``skip``.

        Raises:
            UserError: if a file is not a complete image; the message names it.
        """
        seed, order = None, torch.arange(len(self))
        if generator is not None:
            seed = int(torch.randint(2**31, (), generator=generator))
            order = torch.randperm(len(self), generator=generator)
            order = order[: len(order) - (len(order) % batch_size == 1)]
        flip = augmentation is not None and augmentation.flip
        device = torch.device(device)
        positions = torch.arange(len(order))
        loader: DataLoader[Any] = DataLoader(
            _Decoded(self, order.tolist(), seed, flip),
            batch_sampler=[shard.of(rows).tolist() for rows in positions.split(batch_size)[skip:]],
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
            collate_fn=_collate,
            generator=torch.Generator(),  # otherwise each pass draws from the global generator
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            images, labels = batch
            moved = images.to(device, non_blocking=True)
            yield moved.float().div_(255), labels.to(device, non_blocking=True)

    def to_images(self, count: int, seed: int) -> Images:
        """Return a class-balanced sample of ``count`` images; see :meth:`take`.

        Raises:
            UserError: if there are fewer images than that, or one is damaged.
        """
        if count > len(self):
            raise UserError(f"{count} images are requested but there are only {len(self)}.")
        labels = torch.tensor([label for _, label in self.files])
        return self.take(balanced_order(labels, seed)[:count])

    def take(self, indices: Tensor) -> Images:
        """Return the samples at ``indices``, in that order, center-cropped.

        More than :data:`IN_MEMORY` are in a temporary file that is mapped into memory: the system
        reads what is used, and drops it again where memory is short.

        Raises:
            UserError: if one is not a complete image; the message names it.
        """
        decoded = _Decoded(self, indices.tolist(), None, flip=False)
        images = _room(len(indices), self.image_shape)

        def fill(row: int) -> int:
            images[row], label = decoded.read(row)
            return label

        with ThreadPoolExecutor() as pool:
            labels = list(pool.map(fill, range(len(decoded))))
        paths = [Path(self.files[i][0]) for i in indices.tolist()]
        turned = [path for path in paths if is_turned(path)]
        notify_turned(len(turned), len(paths), next(iter(turned), None))
        return Images(images, torch.tensor(labels, dtype=torch.int64))

    def hash(self) -> str:
        """Return a hash of names, file sizes and labels; hashing every pixel would take hours."""
        digest = hashlib.sha256()
        sizes = self.sizes or [Path(path).stat().st_size for path, _ in self.files]
        start = len(str(self.root)) + 1
        for (path, label), size in zip(self.files, sizes, strict=True):
            name = path[start:].replace(os.sep, "/")
            line = f"{name} {size} {label}\n"
            digest.update(line.encode(errors="surrogateescape"))  # a name need not be UTF-8
        return digest.hexdigest()


class _Decoded(Dataset[tuple[Tensor, int] | UserError]):
    """A data set of decoded images; random crops are seeded by the pass and the image.

    An error is returned as an item: one raised in a worker would arrive as the text of its
    traceback, and delay the shutdown of the workers by seconds.
    """

    def __init__(self, stream: ImageStream, order: list[int], seed: int | None, flip: bool) -> None:
        self._files, self._order, self._seed = stream.files, order, seed
        self._sizes, self._root = stream.sizes, stream.root
        size = stream.size
        if seed is None:
            steps = [v2.Resize(size * 8 // 7, antialias=True), v2.CenterCrop(size)]
        else:
            steps = [v2.RandomResizedCrop(size, antialias=True)]
            steps += [v2.RandomHorizontalFlip()] if flip else []
        self._transform = v2.Compose(steps)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> tuple[Tensor, int] | UserError:
        try:
            return self.read(position)
        except UserError as error:
            return error

    def read(self, position: int) -> tuple[Tensor, int]:
        """Return an image, uint8 (3, size, size), and its label.

        Raises:
            UserError: if it is not a complete image.
        """
        index = self._order[position]
        path, label = self._files[index]
        if self._sizes is not None:
            check_size(path, self._sizes[index], self._root)
        image = decode(Path(path)).expand(3, -1, -1)
        if self._seed is None:
            return self._transform(image), label
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would also seed the devices, permanently.
            torch.default_generator.manual_seed(self._seed * 1_000_003 + index)
            return self._transform(image), label


def _room(count: int, shape: tuple[int, int, int]) -> Tensor:
    """Return uint8 (count, *shape) to be filled, in memory or in a file that has no name."""
    size = count * math.prod(shape)
    if size <= IN_MEMORY:
        return torch.empty(count, *shape, dtype=torch.uint8)
    try:
        with NamedTemporaryFile(prefix="robench-") as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # a full disk is an error now, and a crash later
                os.posix_fallocate(file.fileno(), 0, size)
            flat = torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8)
    except OSError as error:
        raise UserError(
            f"{count} images take {size / 2**30:.1f} GiB in {gettempdir()}: "
            f"{error.strerror or error}; name another folder with TMPDIR, or evaluate fewer images."
        ) from error
    return flat.view(count, *shape)


def _collate(items: list[tuple[Tensor, int] | UserError]) -> Any:
    error = next((item for item in items if isinstance(item, UserError)), None)
    return error or default_collate(items)
