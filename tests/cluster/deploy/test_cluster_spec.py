# pyright: basic
"""The settings of a cluster."""

import pytest

from cluster.deploy.cluster_spec import ClusterSpec
from rungwise.validation import InputError


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "My Job"}, "lower-case letters"),
        ({"namespace": "a;b"}, "lower-case letters"),
        ({"nodes": 0}, "nodes"),
        ({"setup": "a\nrm -rf /"}, "one line"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        ClusterSpec(**changed)
