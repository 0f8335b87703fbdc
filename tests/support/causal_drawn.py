# pyright: basic
"""Models drawn from every family by the same keys."""

from envs.causal.models.families import FAMILIES, draw_family, hidden_nodes
from envs.contract import counter_rng

KEYS = counter_rng.make_keys(0, 300)


SIZES = (4, 8)


DRAWN = {family: draw_family(family, KEYS, *SIZES) for family in FAMILIES}


def visible(family):
    """The models' visible columns: their parents [B, n, n] and which of them are real [B, n]."""
    scm = DRAWN[family].scm
    n = scm.nodes - hidden_nodes(family, SIZES[1])
    return scm.parents[:, :n, :n], scm.real[:, :n]
