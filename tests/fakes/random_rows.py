"""Random rows of `tests.fakes.models`, for laws that hold for each of them."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.none()
ROW = st.fixed_dictionaries(
    {
        "amount": NUMBERS,
        "age": st.integers(-(2**31), 2**31 - 1) | st.none(),
        "kind": st.text(max_size=20) | st.sampled_from(["a", "b", "c"]) | st.none(),
    }
)
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
