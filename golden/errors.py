"""Errors of the golden model that a user can do something about."""

__all__ = ["CheckpointError", "CheckpointNotFoundError", "ProfileError"]


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message is one sentence: what, where and what to do."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """A checkpoint, or a file that belongs to it, is not there."""


class ProfileError(ValueError):
    """A profile cannot be used; the message is one sentence: what, where and what to do."""
