"""The LLaMA family in float, by spikes, and in integers alone, and the checkpoint prepared for it."""
