"""Spikeloom's hardware: an accumulate-only, spike-driven accelerator generator in Amaranth."""
