"""The generated pages of docs/: energy and boards."""
