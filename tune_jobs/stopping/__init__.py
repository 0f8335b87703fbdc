"""When trials end early: the stop rules, and the health of a sweep that they read."""
