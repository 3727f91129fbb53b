"""Your own images, in one folder per class."""

from pathlib import Path

from robench import DataSet, register_dataset
from robench.data.folder import load_folder


@register_dataset("image_folder", reference="torchvision's ImageFolder layout")
def image_folder(data_dir: Path) -> DataSet:
    """Your own images, image_folder:DIR with DIR/train/<class>/* and DIR/test/<class>/*."""
    return load_folder(data_dir)
