"""Normalization defenses, one file an entry."""
