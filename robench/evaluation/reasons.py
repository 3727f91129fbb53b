"""The reasons for not taking a shortcut, as the engine writes them.

:mod:`robench.evaluation.copies` and :mod:`robench.evaluation.examination` write them, as ends
of sentences about a model; in the files of others, this tells them from any other text.
"""

import re

from robench.evaluation.copies import ON_BATCH, RANDOM

_ERROR = r"[A-Za-z_]\w{0,80}"
_NAME = r"'[^\n]{0,200}'"
_WHERE = rf"(?:the model|layer {_NAME})"
_DIFFERENCE = rf"(?:(?:logits|input gradients) differ|forward fails with {_ERROR})"

_FORMS = (
    re.escape(RANDOM),
    rf"its (?:logits|input gradients) {re.escape(ON_BATCH)}",
    r"its (?:logits|input gradients) are not finite",
    r"its gradient cannot be computed",
    r"its logits differ without gradient",
    r"its input gradients are zero",
    r"it cannot take batches of every size",
    rf"its {_DIFFERENCE} in (?:that memory format|the copy)",
    r"its forward cannot be traced: it keeps batch norms",
    rf"it cannot be (?:examined|copied) \({_ERROR}\)",
    r"hooks are registered for all modules",
    rf"{_WHERE} (?:is TorchScript|is compiled|has a hook)",
    rf"the forward of {_WHERE} was replaced",
    r"it writes into its input",
    r"it registers a hook on a tensor",
    rf"it has a backward of its own \({_NAME}\)",
    rf"it keeps a state between calls \({_NAME}\)",
    rf"{_NAME} inside it (?:has no gradient|runs without gradient|cuts the gradient)",
)


def is_reason(text: str) -> bool:
    """Return whether the engine may have written a text as a reason for not taking a shortcut."""
    return any(re.fullmatch(form, text) for form in _FORMS)
