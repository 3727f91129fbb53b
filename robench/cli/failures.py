"""Failures that are no fault of robench, each in a sentence: of input, memory, disks, own code."""

import sys

from robench.errors import UserError
from robench.system.files import hint_for
from robench.system.out_of_memory import OUT_OF_MEMORY, is_out_of_memory


def sentence_of(error: BaseException) -> str | None:
    """Return what to say instead of a traceback; None if robench itself is at fault.

    Args:
        error: what a command raised; a :class:`SystemExit` counts if a user's own code raised it.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Exception) and is_out_of_memory(error):
        return OUT_OF_MEMORY
    if "robench.plugins" in sys.modules:  # which most commands need not wait for
        from robench.plugins import raised_in_plugin

        if (said := raised_in_plugin(error)) is not None:
            return said
    if isinstance(error, OSError) and (hint := hint_for(error)) is not None:
        return f"{error.filename or 'the output'}: {error.strerror}; {hint}."
    return None
