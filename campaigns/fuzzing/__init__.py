"""The parts of :mod:`campaigns.fuzz`: how files are changed, read and watched."""
