"""Owns what schemathesis finds: whatever follows from the OpenAPI document is sent to a real door, and judged by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from geodns.ops import admin
from tests.support.admin import Door, opened

pytestmark = pytest.mark.slow
load_all_checks()

JUDGES = [
    check
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    )
    for check in CHECKS.get_by_names([name])
]
SCHEMA: Any = schemathesis.openapi.from_dict(admin.document(admin.OPERATIONS, "1"))
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}
CASES = [(label, GenerationMode.POSITIVE) for label in OPERATIONS] + [
    (label, GenerationMode.NEGATIVE) for label, operation in OPERATIONS.items() if operation.body or operation.query
]
"""What has neither body nor query cannot be unsound."""


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with opened() as door:
        yield door


@pytest.mark.parametrize(("label", "mode"), CASES, ids=[f"{label} {mode.value}" for label, mode in CASES])
@given(data=st.data())
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(door: Door, label: str, mode: GenerationMode, data: st.DataObject) -> None:
    """Sound and unsound requests of every operation get answers of the documented form, and never a fault."""
    case = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))

    case.call_and_validate(base_url=door.url, checks=JUDGES)


def test_every_operation_was_judged() -> None:
    """schemathesis finds as many operations as there are."""
    assert len(admin.OPERATIONS) == len(OPERATIONS)
