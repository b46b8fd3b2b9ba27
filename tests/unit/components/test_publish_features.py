"""When publishing is left out of a pipeline."""

from __future__ import annotations

import pytest

from components.publish_features.core import why_left_out
from lakeloop.domain.errors import UserError
from lakeloop.use_case_files import load_use_case

LOANS, CARD_FRAUD = (load_use_case(f"conf/use_cases/{name}.yaml") for name in ("loans", "card_fraud"))


def test_a_part_of_another_pipeline_leaves_out_what_nobody_looks_up() -> None:
    assert why_left_out(LOANS, "yes", store_known=True) == ""
    assert "online.entity" in why_left_out(CARD_FRAUD, "yes", store_known=True)
    assert "LAKELOOP_ONLINE_STORE_URI" in why_left_out(LOANS, "yes", store_known=False)


def test_by_itself_it_is_never_left_out() -> None:
    assert why_left_out(CARD_FRAUD, "no", store_known=False) == ""
    with pytest.raises(UserError, match="neither yes nor no"):
        why_left_out(LOANS, "maybe", store_known=True)
