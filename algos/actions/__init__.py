"""Actions: distributions, and the heads that turn a network's outputs into them."""
