"""ImageNet-1k, from your own copy."""

from pathlib import Path

from robench import Augmentation, DataSet, UserError, register_dataset
from robench.data.index import list_now
from robench.data.listing import list_classes, notify_numbers
from robench.data.statistics import MEAN_STD
from robench.data.stream import ImageStream
from robench.data.unread import UnreadStream


@register_dataset("imagenet", reference="Russakovsky et al. 2015")
def imagenet(data_dir: Path) -> DataSet:
    """ImageNet-1k from DIR/train and DIR/val, one folder per class; streamed from disk."""
    train_folder, test_folder = data_dir / "train", data_dir / "val"
    if not test_folder.is_dir():
        raise UserError(
            f"no folder {test_folder} found; put ImageNet there, one folder per class, or name "
            f"its folder with --data-dir."
        )
    classes = list_classes(test_folder)
    notify_numbers(test_folder, classes)
    train = ImageStream((), train_folder)  # without it, a network can be attacked
    if train_folder.is_dir():
        if list_classes(train_folder) != classes:
            raise UserError(f"{train_folder} and {test_folder} do not have the same classes.")
        train = UnreadStream(train_folder)
    test = list_now(test_folder)  # few enough to be listed each time
    stream = ImageStream(test.files, test_folder, sizes=test.sizes)
    mean, std = MEAN_STD["imagenet"]
    return DataSet("imagenet", train, stream, classes, mean, std, Augmentation(flip=True))
