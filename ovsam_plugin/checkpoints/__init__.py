"""The published checkpoints: fetched, verified, assembled, and kept as one safetensors file."""
