"""What several rooms are built of: a queue of stream payloads, a serial divider."""
