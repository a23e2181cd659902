"""Boards: what they offer, which accelerator fits one, and what it would do there."""
