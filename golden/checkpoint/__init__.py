"""Trained models as files hold them: shapes, names, weights, tokenizers."""
