"""Backbones, one file a family; a new file here is found without being listed."""
