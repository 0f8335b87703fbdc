"""Running a sweep: jobs, sessions, schedulers, stop rules, evaluation, reports and trackers."""

from rungwise.moved_modules import name_new_places

name_new_places()
