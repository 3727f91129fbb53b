"""ImageNet-1k, from your own copy."""

from pathlib import Path

from robench import Augmentation, DataSet, UserError, register_dataset
from robench.data.folder import list_images
from robench.data.statistics import MEAN_STD
from robench.data.stream import ImageStream


@register_dataset("imagenet", reference="Russakovsky et al. 2015")
def imagenet(data_dir: Path) -> DataSet:
    """ImageNet-1k from DIR/train and DIR/val, one folder per class; streamed from disk."""
    parts = []
    for name in ("train", "val"):
        folder = data_dir / name
        if not folder.is_dir():
            raise UserError(
                f"no folder {folder} found; put ImageNet there, one folder per class, or name its "
                f"folder with --data-dir."
            )
        classes, files = list_images(folder)
        stream = ImageStream(tuple((str(path), label) for path, label in files), folder)
        parts.append((classes, stream))
    (classes, train), (test_classes, test) = parts
    if classes != test_classes:
        raise UserError(f"{data_dir}/train and {data_dir}/val do not have the same classes.")
    mean, std = MEAN_STD["imagenet"]
    return DataSet("imagenet", train, test, classes, mean, std, Augmentation(flip=True))
