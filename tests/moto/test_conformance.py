"""moto does what the simulation takes DynamoDB and SQS to do, but for what is listed here."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

import pytest

from tests.simulation import conformance
from tests.simulation.conformance import Backend, Check

pytestmark = pytest.mark.once

_numbers = count()

CANNOT = {
    "nothing_is_set_under_a_map_that_is_not_there": "moto drops a write under a string silently",
    "every_value_and_name_that_is_used_is_given": "moto answers an unknown name with a KeyError",
    "an_expression_of_more_than_4096_bytes_is_refused": "moto knows no limit",
    "an_attribute_of_the_wrong_type_for_an_index_is_refused": "moto checks the table's own keys only",
    "a_transaction_that_does_not_fit_an_item_is_cancelled_for_that": "moto refuses the request instead",
    "a_transaction_sent_again_with_its_token_is_done_once": "moto ignores ClientRequestToken",
    "a_message_sent_again_is_dropped_even_when_the_first_is_gone": "moto forgets it with the message",
    "groups_do_not_share_their_deduplication": "moto deduplicates by queue whatever its scope",
    "an_old_receipt_handle_deletes_nothing": "moto lets stale handles act",
    "an_old_receipt_handle_hides_nothing": "moto lets stale handles act",
}


@pytest.fixture(autouse=True)
def within_limits() -> None:
    """Here moto itself is asked, beyond the limits as well."""


@pytest.fixture
def backend(aws: dict[str, Any]) -> Backend:
    name = f"conformance-{next(_numbers)}"
    conformance.create_table(aws["dynamodb"], name)
    queue_url, dlq_url = conformance.create_queues(aws["sqs"], name)
    other = partial(conformance.create_other_table, aws["dynamodb"])
    return Backend(aws["dynamodb"], aws["sqs"], name, queue_url, dlq_url, other)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_moto_does_what_the_simulation_assumes(check: Check, backend: Backend) -> None:
    conformance.run(check, backend, CANNOT)
