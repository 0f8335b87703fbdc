"""Learning: the learner's update, its optimisers, and the warm start."""
