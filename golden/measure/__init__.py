"""What a model does on a text: perplexity, firing statistics, profiles."""
