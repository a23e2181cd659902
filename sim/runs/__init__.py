"""What every run leaves: a place of its own, what it was, its activity and energy; two compared."""
