"""Data sets whose mean and std are measured on their training images, when they are needed."""

from functools import cached_property

from robench.data.augment import Augmentation
from robench.data.dataset import DataSet, require_training
from robench.data.images import Images
from robench.data.statistics import channel_statistics
from robench.data.unread import is_counted


class MeasuredDataSet(DataSet):
    """A data set in memory with the mean and std of its training images.

    They are measured when first asked for, so that an attack reads no training image.

    Args:
        mean: the mean of each channel, if it is known.
        std: the standard deviation of each channel, if it is known.

    The other arguments are those of :class:`robench.data.DataSet`.
    """

    # As many parameters as a data set has fields, so that dataclasses.replace works.
    def __init__(
        self,
        name: str,
        train: Images,
        test: Images,
        classes: tuple[str, ...],
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        augmentation: Augmentation = Augmentation(),
    ) -> None:
        fields = {
            "name": name,
            "train": train,
            "test": test,
            "classes": classes,
            "mean": mean,
            "std": std,
            "augmentation": augmentation,
        }
        for field, value in fields.items():
            if value is not None:  # what is not set here is measured
                object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        """Return what the data set is, without reading an image: to print it measures nothing."""
        parts = (("training", self.train), ("test", self.test))
        counts = [f"{len(part)} {name}" for name, part in parts if is_counted(part)]
        return f"{type(self).__name__}(name={self.name!r}, {' and '.join(counts)} images)"

    @cached_property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel of the training images, in [0, 1].

        Raises:
            UserError: if there are none.
        """
        return self._statistics[0]

    @cached_property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel of the training images, in [0, 1].

        Raises:
            UserError: if there are none.
        """
        return self._statistics[1]

    @cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        require_training(self)
        assert isinstance(self.train, Images)
        return channel_statistics(self.train.images)
