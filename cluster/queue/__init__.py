"""A queue of runs whose state is files in the run directories, so that it survives a crash."""
