"""The commands of `python -m spikeloom.board`, a file each."""
