"""Where it runs and what a person sees: the Ray session, the command line, live progress."""
