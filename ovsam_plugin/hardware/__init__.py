"""Where and how precisely a network computes, and what is done where memory runs out."""
