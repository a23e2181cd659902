"""Vectors to spikes: thresholds, counts, firing channels, trains, and the KV cache."""
