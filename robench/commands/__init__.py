"""The commands of the command line as functions, usable from Python."""
