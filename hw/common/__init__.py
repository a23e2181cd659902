"""What all rooms are built of: the base of components, pipelines, queues, a serial divider."""
