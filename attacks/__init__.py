"""Attacks, one file an entry."""
