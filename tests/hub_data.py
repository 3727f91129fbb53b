"""Parquet files as the Hugging Face hub has them, written by pyarrow."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(pixels: np.ndarray) -> bytes:
    """Return an image (H, W) or (H, W, 3) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(columns: Mapping[str, Sequence[Any]], features: Any = None, group: int = 4) -> bytes:
    """Return a file of columns, in groups of rows; ``features`` are declared in it, if given."""
    schema = None if features is None else features.arrow_schema
    buffer = io.BytesIO()
    pq.write_table(pa.table(dict(columns), schema=schema), buffer, row_group_size=group)
    return buffer.getvalue()


def images_and_labels(
    images: Sequence[np.ndarray], labels: Sequence[int], names: Sequence[str], group: int = 4
) -> bytes:
    """Return a file with the columns ``img`` and ``label`` as ``push_to_hub`` writes it."""
    from datasets import ClassLabel, Features
    from datasets import Image as ImageFeature

    features = Features(img=ImageFeature(), label=ClassLabel(names=list(names)))
    stored = [{"bytes": png(image), "path": f"{row}.png"} for row, image in enumerate(images)]
    return parquet({"img": stored, "label": list(labels)}, features, group)
