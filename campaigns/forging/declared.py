"""What nobody can find out from a published folder, its weights and its images.

A forgery of another field that passes is a fault of ``robench verify``.
"""

import re

NOBODY_CAN_TELL: dict[str, tuple[str, ...]] = {
    "time and memory, as they were measured": (
        r"manifest\.training\[\]\.(seconds|images_per_second)",
        r"manifest\.manifest\.(training_seconds|peak_memory_mib)",
        r"manifest\.manifest\.outcomes\.\*\.seconds_of_group",
        r"times: of a cell",
    ),
    "commit": (r"manifest\.manifest\.(outcomes\.\*\.)?version",),
    "device": (
        r"manifest\.manifest\.environment(\..*|: removed|: emptied)?",
        r"manifest\.manifest\.outcomes\.\*\.gradients",
    ),
    "name": (
        r"board\.json\.(name|dataset)",
        r"board\.json\.board\.(title|description|authors)",
        r"board\.json\.board\.external\[\]",
        r"manifest\.cell\.origin",
    ),
    "choice of rows, seeds, attacks and ranking column": (
        r"board\.json\.board\.(defenses|external|seeds|evaluation\.attacks): .*",
        r"board\.json\.board\.seeds\[\]",
        r"board\.json\.board\.evaluation\.rank_by",
        r"board\.json\.board\.baseline",
        r"checks: left out with the board's wish",
    ),
    "goal of a race, unless a row's verdict depends on it": (
        r"board\.json\.board\.goal(\..*|: .*)?",
    ),
    "training losses and accuracies of epochs": (
        r"manifest\.training\[\]\.(train_loss|train_accuracy|val_accuracy|val_robust)",
        r"training losses: of a cell",
    ),
    "settings on which no result depends": (
        r"board\.json\.board\.evaluation\.batch_size",
        r"board\.json\.board\.training\.milestones: swapped",
        # These pass only if the last stage, which trains every network again with what is claimed,
        # gets the same weights to the bit: two replays with steps as long as the radius do not
        # leave a larger ball either, and longer steps are clipped.
        r"board\.json\.board\.training\.(eps|step_size)",
        # True says that the weights of all rows are listed, which is compared. Where they are, as
        # in any submission, it is true whatever the board says.
        r"board\.json\.board\.publish_weights",
    ),
    "other weights under which all outcomes and checks are the same": (
        r"weights: (one value|a tensor scaled|a tensor of another cell)",
    ),
}
"""What is taken on trust -> the fields that say it, as regular expressions."""


def declared(label: str) -> str | None:
    """Return what is taken on trust where a field is forged; None if it should be found."""
    for kind, patterns in NOBODY_CAN_TELL.items():
        if any(re.fullmatch(pattern, label) for pattern in patterns):
            return kind
    return None
