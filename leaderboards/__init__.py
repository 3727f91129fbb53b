"""The boards that ship with robench: one folder each, with its specification and its results."""
