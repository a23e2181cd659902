"""How a model becomes spike-driven: settings of each site, and what is folded into its weights."""
