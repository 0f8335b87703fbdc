"""Running a sweep: jobs, sessions, schedulers, stop rules, evaluation, reports and trackers."""
