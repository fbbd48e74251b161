"""Where a trial runs: an AWS account, or an emulator on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dev import emulator
from dev.stage import DevError


class Target:
    """AWS in one Region, or an emulator.

    Attributes:
        on: "AWS", or the emulator's name.
        region: the Region.
        environment: what a process needs in its environment to talk to it.
        fresh: whether nothing can be in it yet.
    """

    def __init__(
        self, on: str, region: str, environment: Mapping[str, str], *, fresh: bool = False
    ) -> None:
        self.on, self.region, self.environment = on, region, dict(environment)
        self.fresh = fresh
        self._clients: dict[str, Any] = {}
        self._account: str | None = None

    @classmethod
    def aws(cls, region: str) -> Target:
        """AWS, with the credentials that the AWS SDKs find."""
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            raise DevError(
                f"AWS_ENDPOINT_URL is {endpoint}, which is not AWS. Unset it, or say --emulator."
            )
        regions = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        return cls("AWS", region, {**os.environ, **regions})

    @classmethod
    def emulator(cls, running: emulator.Emulator, name: str) -> Target:
        """An emulator: nothing that is asked of it reaches an account."""
        return cls(name, emulator.REGION, running.environment(), fresh=running.fresh)

    @property
    def is_aws(self) -> bool:
        return self.on == "AWS"

    def aws_client(self, service: str) -> Any:
        """A boto3 client of a service."""
        if service not in self._clients:
            self._clients[service] = self._session().client(
                service, config=Config(retries={"mode": "standard", "max_attempts": 5})
            )
        return self._clients[service]

    def account(self) -> str:
        """The account's number.

        Raises:
            DevError: there are no credentials, or AWS does not take them.
        """
        if self._account is None:
            try:
                self._account = str(self.aws_client("sts").get_caller_identity()["Account"])
            except (BotoCoreError, ClientError) as error:
                raise DevError(
                    f"AWS does not say which account this is ({error}). Give credentials as for every "
                    "AWS tool, such as AWS_PROFILE, and see that `aws sts get-caller-identity` answers."
                ) from None
        return self._account

    def as_role(self, arn: str) -> dict[str, str]:
        """The environment of a process that has a role's rights and no others.

        A role that was made a moment ago cannot be assumed everywhere at once, so it is asked for again.
        """
        sts = self.aws_client("sts")
        for left in range(30, -1, -1):
            try:
                given = sts.assume_role(RoleArn=arn, RoleSessionName="fluxio-trial")["Credentials"]
                break
            except ClientError:
                if not left:
                    raise
                self.pause(2)
        kept = {
            name: value
            for name, value in self.environment.items()
            if name not in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
        }
        return {
            **kept,
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def pause(self, seconds: float) -> None:
        """Wait for what AWS does in its own time. An emulator does it at once, or never."""
        time.sleep(seconds if self.is_aws else min(seconds, 1.0))

    def _session(self) -> Any:
        given = self.environment
        if self.is_aws:
            return boto3.Session(region_name=self.region)
        return _EmulatedSession(given)


class _EmulatedSession:
    """Clients of an emulator. The caller's own environment is left alone."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._endpoint = environment["AWS_ENDPOINT_URL"]
        self._session = boto3.Session(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_REGION"],
        )

    def client(self, service: str, config: Config) -> Any:
        return self._session.client(service, endpoint_url=self._endpoint, config=config)
