"""The suite's checks, one per file; each is found by its name, ``robench.register_check``."""
