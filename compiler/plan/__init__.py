"""What a model asks of hardware, before any weight is read: bytes, additions, time, energy."""
