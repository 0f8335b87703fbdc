"""Run a job: one trial, the sweep around it, its recorder, its winner."""
