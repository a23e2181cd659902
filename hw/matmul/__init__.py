"""Spikes times weights: row segments fetched, added up in the array, drained and requantized."""
