"""The live page: one or many runs as their event rows tell them."""
