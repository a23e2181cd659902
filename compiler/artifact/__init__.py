"""A compiled directory: its manifest, its program read back, and whether it is intact."""
