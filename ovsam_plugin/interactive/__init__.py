"""One photograph that somebody points at: encoded once, every click answered."""
