"""Layers: the maths of defenses as ordinary modules, which know nothing of the suite."""
