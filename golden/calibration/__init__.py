"""From a text to a recipe that skips the most bytes within a budget of perplexity."""
