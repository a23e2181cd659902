"""The LLaMA family in float, by spikes and in integers, and checkpoints made ready for it."""
