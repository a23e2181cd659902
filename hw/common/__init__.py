"""What all rooms are built of: the base of components, a queue of payloads, a serial divider."""
