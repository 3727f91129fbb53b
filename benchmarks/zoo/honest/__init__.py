"""Models that are as robust as they look."""
