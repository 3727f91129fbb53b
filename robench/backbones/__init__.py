"""Backbones, one file per family; a new file here is discovered without being listed."""
