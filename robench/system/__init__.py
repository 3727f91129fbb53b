"""System utilities: files, devices, memory, processes and provenance."""
