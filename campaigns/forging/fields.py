"""Everything that can be forged in a submission: a list of fields, generated from its schema."""

from campaigns.forging.arrays import array_forgeries
from campaigns.forging.cells import cell_forgeries
from campaigns.forging.documents import document_forgeries
from campaigns.forging.draft import Draft, Forgery
from campaigns.forging.tables import table_forgeries
from campaigns.forging.weights import weight_forgeries


def all_forgeries(draft: Draft) -> list[Forgery]:
    """Return one forgery per field, in a fixed order.

    Args:
        draft: an unchanged copy of a submission.
    """
    made = [
        *document_forgeries(draft),
        *array_forgeries(),
        *table_forgeries(draft),
        *weight_forgeries(),
        *cell_forgeries(),
    ]
    return sorted(made, key=lambda forgery: forgery.label)
