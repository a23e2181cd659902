"""Joules of a token: counts times published constants."""
