"""One process runs all tests, so XGBoost is loaded whole, once: the steps' light import is a no-op then.

How long an example takes says something of the machine, not of a law: no deadline, no health check of speed.
"""

import xgboost  # noqa: F401
from hypothesis import HealthCheck, settings

settings.register_profile("lakeloop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lakeloop")
