"""What a model asks of hardware before it runs: bytes, additions, steps, cycles."""
