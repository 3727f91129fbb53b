"""Data sets, one file an entry; a new file here is found without being listed."""
