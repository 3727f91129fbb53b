"""Console tables, drawn with Rich; one module per kind, since some are slow to import."""
