"""Embeddings in, names out, with the scores that say how far to trust them."""
