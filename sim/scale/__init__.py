"""Several devices that share one model: the host between them, and a simulated interconnect."""
