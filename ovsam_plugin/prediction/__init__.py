"""Prompts in, instances out: what is asked, what is answered, and which answers are kept."""
