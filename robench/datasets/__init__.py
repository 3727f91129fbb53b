"""Data sets, one file per entry; a new file here is found without being listed."""
