"""docs/numerics.md in integers, a file a section."""
