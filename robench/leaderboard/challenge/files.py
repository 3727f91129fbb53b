"""The files of challenges: adversarial images against one network, and where they come from."""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from robench.base import ThreatModel
from robench.board.cells import HASH
from robench.board.specs import Spec
from robench.errors import UserError, shortened
from robench.system.array_files import read_npz
from robench.system.json_files import parse_json
from robench.system.reading import MIB, Refused

FOLDER = "challenges"
"""Where they are in the folder of a leaderboard: ``challenges/CELL/HASH.npz``."""

LARGEST = 256 * MIB
"""Largest size in bytes of all arrays of a file: 20,000 images of CIFAR-10 in float32."""

LONGEST_SOURCE = 300
"""Characters of the text that says where images come from."""

Indices = NDArray[np.int64]
Pixels = NDArray[np.uint8] | NDArray[np.float32]


class ChallengeFacts(Spec):
    """What is known of a challenge besides its images.

    Attributes:
        weights_hash: sha256 of the weights of the network that they fool.
        norm: the norm of the ball that they keep to.
        eps: its radius, in pixel units.
        source: where they come from: an attack, a paper, a person; may be empty.
    """

    weights_hash: str = Field(pattern=HASH)
    norm: str = Field(pattern=r"^(linf|l2)$")
    eps: float = Field(ge=0, allow_inf_nan=False)
    source: str = Field(max_length=LONGEST_SOURCE)

    @field_validator("source")
    @classmethod
    def _source_is_plain(cls, source: str) -> str:
        check_source(source)
        return source


def check_source(source: str) -> None:
    """Check the text that says where images come from.

    Raises:
        UserError: if it is too long, or has markup or a character that is not shown.
    """
    if len(source) > LONGEST_SOURCE:
        raise UserError(
            f"the source has {len(source)} characters; at most {LONGEST_SOURCE} are allowed."
        )
    if odd := [c for c in source if not c.isprintable() or c in "<>"]:
        raise UserError(
            f"the source has the character U+{ord(odd[0]):04X}; write it on one line, without "
            f"markup."
        )


@dataclass(frozen=True, eq=False)
class Challenge:
    """Adversarial images against one network; those that another challenge has count once.

    Attributes:
        facts: which network they fool, in which ball, and where they come from.
        indices: (N,) int64, increasing, among the images that the board evaluates.
        images: (N, C, H, W), float32 in [0, 1] or uint8.
    """

    facts: ChallengeFacts
    indices: Indices
    images: Pixels

    @property
    def threat_model(self) -> ThreatModel:
        """The ball that the images keep to."""
        return ThreatModel(self.facts.norm, self.facts.eps)

    @property
    def pixels(self) -> NDArray[np.float32]:
        """The images as float32 in [0, 1]."""
        if self.images.dtype == np.uint8:
            return self.images.astype(np.float32) / np.float32(255)
        return self.images.astype(np.float32)

    def content(self) -> bytes:
        """Return the bytes of its file; equal challenges have equal bytes."""
        about = json.dumps(self.facts.model_dump(mode="json"), sort_keys=True).encode()
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            about=np.frombuffer(about, np.uint8),
            indices=self.indices,
            images=self.images,
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path, inside: Path | None = None) -> Self:
        """Read a file that :meth:`content` gave; nothing in it is executed.

        Args:
            path: the file.
            inside: the folder that it may not be a link out of.

        Raises:
            UserError: if it is missing or damaged, or has what no challenge has.
        """
        try:
            arrays = read_npz(path, unpacked=LARGEST, members=3, inside=inside)
            if sorted(arrays) != ["about", "images", "indices"]:
                raise ValueError("it needs the arrays 'about', 'images' and 'indices', no others")
            return cls(
                facts=_facts(arrays["about"]),
                indices=_indices(arrays["indices"]),
                images=_images(arrays["images"], len(arrays["indices"])),
            )
        except Refused as error:
            raise _damaged(path, error.reason) from error
        except ValueError as error:
            raise _damaged(path, shortened(error, 160).rstrip(".")) from error


def challenge_name(cell_key: str, content: bytes) -> str:
    """Return the name of a challenge in a leaderboard's folder."""
    return f"{FOLDER}/{cell_key}/{hashlib.sha256(content).hexdigest()[:16]}.npz"


def exact(images: NDArray[np.float32]) -> Pixels:
    """Return images in [0, 1] as uint8 if that changes none of them, else as they are."""
    rounded = np.rint(images * 255).astype(np.uint8)
    if np.array_equal(rounded.astype(np.float32) / np.float32(255), images):
        return rounded
    return images


def fallen(paths: Iterable[Path], count: int) -> NDArray[np.bool_]:
    """Return which of the first ``count`` images fall to one of several challenges.

    Args:
        paths: their files, in the folder of a leaderboard.
        count: how many images.

    Raises:
        UserError: if a file is missing, damaged or a link out of the folder.
    """
    found = np.zeros(count, np.bool_)
    for path in paths:
        try:
            arrays = read_npz(path, unpacked=LARGEST, names=["indices"], inside=path.parents[2])
            indices = _indices(arrays["indices"])
        except (Refused, KeyError, ValueError) as error:
            reason = error.reason if isinstance(error, Refused) else "it has no indices"
            raise _damaged(path, reason) from error
        found[indices[indices < count]] = True
    return found


def _facts(values: NDArray[Any]) -> ChallengeFacts:
    if values.dtype != np.uint8 or values.ndim != 1 or len(values) > 16 * LONGEST_SOURCE:
        raise ValueError("its array 'about' is not a short text")
    try:
        return ChallengeFacts.model_validate(parse_json(values.tobytes()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "about"
        raise ValueError(f"'{shortened(where)}' of its array 'about' is wrong") from None


def _indices(values: NDArray[Any]) -> Indices:
    if values.dtype != np.int64 or values.ndim != 1 or not len(values):
        raise ValueError("its indices are not a list of int64")
    if values[0] < 0 or not (np.diff(values) > 0).all():
        raise ValueError("its indices do not increase from 0 on: one is negative or there twice")
    return values


def _images(values: NDArray[Any], count: int) -> Pixels:
    if values.dtype not in (np.uint8, np.float32) or values.ndim != 4 or len(values) != count:
        raise ValueError("its images are not one uint8 or float32 (C, H, W) per index")
    if not values.size:
        raise ValueError("its images have no pixels")
    # Written so that NaN is refused, too.
    if values.dtype == np.float32 and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("its images leave [0, 1]")
    return values


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"the challenge {path} is damaged ({reason}).")
