"""Experiment trackers that follow a run from outside: no result depends on them."""
