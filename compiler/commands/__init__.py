"""The commands of `python -m compiler`, a file each."""
