"""Spikeloom for notebooks and scripts."""
