"""Callbacks that judge a training in its own script: one file for each library.

Each feeds what its library logs to a :class:`rungwise.judging.watch.Watch` and ends a doomed
training by the library's own means, or where it has none by leaving its loop. A library is imported
by its file only.
"""
