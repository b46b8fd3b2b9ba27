"""One process runs all tests, so XGBoost is loaded whole, once: the steps' light import is a no-op then."""

import xgboost  # noqa: F401
