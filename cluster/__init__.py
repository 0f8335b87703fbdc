"""How it runs elsewhere and what a person sees: the Ray session, the command line, live progress."""
