"""QuietThoughts: a small language model that may think before the next words of a text."""
