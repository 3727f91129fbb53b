"""Models that look robust and are not."""
