"""Layers: the math of the defenses as ordinary modules, independent of the rest of the suite."""
