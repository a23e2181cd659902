"""What all commands share: errors as sentences, interrupts, files that a user names."""
