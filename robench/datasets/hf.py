"""Data sets of images on the Hugging Face hub."""

from pathlib import Path

from robench import DataSet, UserError, register_dataset


@register_dataset("hf", reference="huggingface.co/datasets")
def hf(
    data_dir: Path,
    repository: str = "",
    image: str = "",
    label: str = "",
    config: str = "",
    train: str = "",
    test: str = "",
) -> DataSet:
    """Images of the Hugging Face hub in Parquet files, hf:ORG/NAME or hf:ORG/NAME@REVISION.

    Needs the package datasets: pip install 'robench[datasets]'. Nothing of a repository is
    executed, and only Parquet files are read. The name in tables has the commit that was read.
    Images must have one size. An attack fetches the test part alone.

    Args:
        data_dir: not used; the hub's client has a cache of its own, in HF_HOME.
        repository: what follows hf:, a repository and the commit, branch or tag to read.
        image: the column of the images; by default, the only one of images.
        label: the column of the labels; by default, the only one with names of classes.
        config: the configuration, where there are several without a default.
        train: the split to train on; by default train.
        test: the split to attack; by default test or, without one, validation.

    Raises:
        UserError: if one of them is missing or not the only one, or the hub cannot be reached.
    """
    try:
        from robench.data.hub_dataset import load_hub_dataset
    except ImportError as error:
        raise UserError(
            "data sets of the hub, hf:ORG/NAME, need the package datasets: "
            "pip install 'robench[datasets]'."
        ) from error

    named = {"image": image, "label": label, "config": config, "train": train, "test": test}
    return load_hub_dataset(repository, {key: value for key, value in named.items() if value})
