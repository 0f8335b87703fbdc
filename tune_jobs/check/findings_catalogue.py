"""Catalogue of the findings of ``rungwise check``.

``ProbeResult.add_finding`` takes its remedies from here and accepts no other ids, so that
``rungwise explain`` can explain every finding. It imports neither torch nor Ray, because
explaining must be fast.
"""

from tune_jobs.check.algorithm_findings import ALGORITHM_FINDINGS
from tune_jobs.check.check_symptom import CheckSymptom
from tune_jobs.check.environment_findings import ENVIRONMENT_FINDINGS

SYMPTOMS: dict[str, CheckSymptom] = ENVIRONMENT_FINDINGS | ALGORITHM_FINDINGS
"""Id -> explanation."""
