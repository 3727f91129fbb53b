"""Boards: the specification of what is trained, attacked and ranked, read from TOML files."""
