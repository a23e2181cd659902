"""Which model a build is of: known by name, a checkpoint, or a shape with synthetic weights."""
