"""The peak of the memory that tensors take, by torch's own tracker."""

from typing import Any

from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.weak import WeakIdKeyDictionary


class PeakTracker(MemTracker):
    """Tracks the peak of the whole network alone."""

    def _update_peak_stats(self, peak_state: Any) -> None:
        # At each operation torch goes through all modules, for a peak of each: most of its time.
        modules, self.memory_tracking = self.memory_tracking, WeakIdKeyDictionary()
        super()._update_peak_stats(peak_state)
        self.memory_tracking = modules
