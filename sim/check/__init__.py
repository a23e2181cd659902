"""One layer on a device, held against the golden model."""
