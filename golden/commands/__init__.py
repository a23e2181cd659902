"""The commands of `python -m golden`, a file each."""
