"""The passes for a whole model: from a token to the next one in one program, one file a pass."""
