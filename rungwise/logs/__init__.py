"""Read the logs of runs, of Rungwise or other tools, as rows for the rules.

A log goes through three steps: a reader of ``formats`` yields the records that a file has gained,
``names`` finds the catalogue's metrics among their names, and ``translate_log`` makes rows of them.
To add a format or a library, see ``formats`` and ``names``.
"""
