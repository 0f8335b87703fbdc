"""Names of the catalogue's metrics in other tools.

To add a library, write its :class:`Library` in ``libraries.py`` and add it to ``LIBRARIES`` there.
A name of the catalogue (with or without Tune's ``metrics/``) needs no entry.
"""
