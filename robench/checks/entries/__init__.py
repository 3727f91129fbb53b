"""The built-in checks, one per file, registered by name with ``robench.register_check``."""
