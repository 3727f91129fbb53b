"""Refuse networks of which a certificate proves nothing, before they are trained."""

from collections.abc import Mapping

import torch
from torch import nn

from robench.base import Attack
from robench.data import DataSet
from robench.errors import UserError
from robench.models.frozen import under_attack


def check_proved(
    network: nn.Module, row: str, attacks: Mapping[str, Attack], dataset: DataSet
) -> None:
    """Check that each certificate of a strict board proves something of a network.

    Args:
        network: the network of a row, with fresh weights: whether its layers have bounds does not
            depend on them.
        row: the title of the row.
        attacks: column -> attack.
        dataset: the data set.

    Raises:
        UserError: if one proves nothing; it names the row and the layer.
    """
    certificates: dict[type[Attack], tuple[str, Attack]] = {}
    for name, attack in attacks.items():
        if attack.proves:
            certificates.setdefault(type(attack), (name, attack))
    image = torch.zeros(1, dataset.in_channels, *dataset.image_size)
    with under_attack(network):
        for name, attack in certificates.values():
            proof = attack.proof(network, image, torch.zeros(1, dtype=torch.int64))
            if proof.unproved:
                raise UserError(
                    f"the board is strict, but {name} proves nothing of '{row}': {proof.unproved} "
                    f"Change the row, or set evaluation.strict = false."
                )
