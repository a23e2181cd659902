"""Directories that are written whole or not at all, and builds that outlive an interruption."""
