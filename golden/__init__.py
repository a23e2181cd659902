"""The golden model: what the hardware must compute, written in PyTorch to be read top to bottom."""
