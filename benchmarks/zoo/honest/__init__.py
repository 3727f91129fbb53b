"""Models that are what they look like: whatever flag one of them gets is a false alarm."""
