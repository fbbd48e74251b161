"""The stand-in does what the suite asks of every stand-in for the two services."""

from __future__ import annotations

import pytest

from fluxio.testing.aws import Aws
from tests.simulation import conformance
from tests.simulation.conformance import Backend, Check

pytestmark = pytest.mark.once


@pytest.fixture
def backend() -> Backend:
    aws = Aws()
    return Backend(
        aws.dynamodb.client(),
        aws.sqs.client(),
        Aws.TABLE,
        aws.queue.url,
        aws.dead_letters.url,
        lambda name, keys: aws.dynamodb.create_table(name, keys=keys),
    )


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_the_stand_in_does_as_aws_does(check: Check, backend: Backend) -> None:
    conformance.run(check, backend, cannot={})
