"""Metrics of stored GANs: each is computed once, and kept beside the weights that it is of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import safetensors.torch
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from robench.board.cells import HASH, Hashed
from robench.board.specs import Spec
from robench.data import DataSet, Images, balanced_sample
from robench.errors import UserError
from robench.gan.batches import training_images
from robench.gan.folder import METRICS
from robench.gan.metrics.extractors import Extractor
from robench.gan.metrics.measure import metrics
from robench.gan.sampling import draw
from robench.models.weight_files import read_safetensors
from robench.progress import ProgressCallback, ignore_progress
from robench.system.files import write_bytes
from robench.system.json_files import read_json
from robench.system.locks import sole_writer

MEASURED_VERSION = 1
"""Raised when the same measurement comes to mean other work."""

WAIT = 24 * 3600.0
"""Seconds to wait for another process that computes the same features."""

Part = Literal["train", "test"]

MetricName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,80}$")]
"""Such as ``fid`` or ``kd_efficientnet_lite0``."""


class Measurement(Hashed):
    """Everything that the metrics of a generator depend on.

    Attributes:
        extractor: what distances in its features are called after.
        data_hash: the fingerprint of the images.
        against: the part of them that samples are compared with.
        images: how many of them.
        samples: how many samples are drawn.
        seed: the seed of the latent vectors.
        weights: sha256 of the file of the generator's weights.
        which: the last weights, or their moving average.
        step: the number of steps after which the generator was kept.
        version: see :data:`MEASURED_VERSION`.
    """

    extractor: str = Field(pattern=r"^[a-z0-9_]{1,60}$")
    data_hash: str = Field(pattern=HASH)
    against: Part
    images: int = Field(ge=2)
    samples: int = Field(ge=2)
    seed: int = Field(ge=0)
    weights: str = Field(pattern=HASH)
    which: Literal["last", "ema"]
    step: int = Field(ge=0)
    version: int = MEASURED_VERSION


class Measured(Spec):
    """Metrics of a generator, and where they were computed.

    Attributes:
        measurement: what was measured.
        metrics: see :func:`robench.gan.metrics.measure.metrics`.
        version: the code that computed them.
        device: the device that did.
    """

    measurement: Measurement
    metrics: dict[MetricName, float]
    version: str
    device: str


def metrics_file(folder: Path, measurement: Measurement) -> Path:
    """Return where the metrics of a GAN are kept in its folder."""
    return folder / METRICS / f"{measurement.key}.json"


def read_measured(path: Path, measurement: Measurement) -> Measured:
    """Read metrics, which must be those of the measurement.

    Raises:
        UserError: if the file is damaged or of something else.
    """
    try:
        found = Measured.model_validate(read_json(path))
    except ValidationError:
        found = None
    if found is None or found.measurement != measurement:
        raise UserError(f"{path} is damaged: it does not hold those metrics; remove it.")
    return found


def compared_images(dataset: DataSet, part: str, count: int | None) -> Images:
    """Return the images that samples are compared with.

    Args:
        dataset: the data set.
        part: ``train`` or ``test``.
        count: a class-balanced sample of so many of them; None for all.

    Raises:
        UserError: if they are streamed, or a GAN cannot be trained on the data set.
    """
    train = training_images(dataset)
    images = train if part == "train" else dataset.test
    if not isinstance(images, Images):
        raise UserError(f"{dataset.name} is streamed; name data whose images fit in memory.")
    if count is None or count >= len(images):
        return images
    return balanced_sample(images, count, seed=0)


@dataclass
class Measurer:
    """Measures generators against the images of one data set.

    The features of these images are computed once, and kept in ``store`` if there is one.

    Attributes:
        dataset: the data set.
        load: returns the network of the features, when it is first needed.
        name: what distances in its features are called after.
        store: the folder of kept features; None keeps them in memory alone.
        device: where samples are drawn.
        progress: called with the images that are done.
    """

    dataset: DataSet
    load: Callable[[], Extractor]
    name: str
    store: Path | None
    device: torch.device
    progress: ProgressCallback = ignore_progress
    _network: Extractor | None = field(default=None, init=False)
    _images: dict[tuple[str, int], Tensor] = field(default_factory=dict, init=False)

    @property
    def network(self) -> Extractor:
        """The network, loaded once."""
        if self._network is None:
            self._network = self.load()
        return self._network

    def metrics(self, generator: nn.Module, latent: int, wanted: Measurement) -> dict[str, float]:
        """Return the metrics of a generator.

        Args:
            generator: the network.
            latent: the size of its latent vectors.
            wanted: what is measured.

        Raises:
            UserError: if the network cannot be loaded or a feature is not finite.
        """
        images = self._features_of(wanted)
        samples = draw(generator.to(self.device), latent, wanted.samples, wanted.seed)
        found = self.network.features(samples, self.progress, "measuring samples")
        return dict(metrics(self.network, found, (images,)))

    def _features_of(self, wanted: Measurement) -> Tensor:
        """Return the features of the images, (N, d)."""
        key = (wanted.against, wanted.images)
        if key not in self._images:
            kept = self._kept(wanted)
            self._images[key] = kept if kept is not None else self._made(wanted)
        return self._images[key]

    def _made(self, wanted: Measurement) -> Tensor:
        """Return features that are in no store; one process computes them, and others wait."""
        if self.store is None:
            return self._computed(wanted)
        with sole_writer(self.store, "computes features in", patience=WAIT):
            kept = self._kept(wanted)
            if kept is not None:
                return kept
            features = self._computed(wanted)
            write_bytes(self._file(wanted), safetensors.torch.save({"features": features}))
            return features

    def _computed(self, wanted: Measurement) -> Tensor:
        images = compared_images(self.dataset, wanted.against, wanted.images)
        task = f"{wanted.against} images"
        return self.network.features(images.images, self.progress, task)[0].contiguous()

    def _kept(self, wanted: Measurement) -> Tensor | None:
        """Return features from the store; what is damaged there is computed again."""
        if self.store is None or not self._file(wanted).is_file():
            return None
        try:
            found = read_safetensors(self._file(wanted)).get("features")
        except UserError:
            return None
        return found if found is not None and found.ndim == 2 and len(found) == wanted.images \
            else None  # fmt: skip

    def _file(self, wanted: Measurement) -> Path:
        assert self.store is not None
        name = f"{wanted.data_hash[:16]}-{wanted.against}-{wanted.images}-{wanted.extractor}"
        return self.store / f"{name}-v{MEASURED_VERSION}.safetensors"
