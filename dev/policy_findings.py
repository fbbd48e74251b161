"""Runs in `.venv-checkov`: reads a JSON list of policies, writes what parliament finds in each of them."""

from __future__ import annotations

import json
import sys
import warnings


def main() -> None:
    # It asks setuptools for the path of its own data, which says on every start that this will end.
    warnings.simplefilter("ignore")
    from parliament import analyze_policy_string

    found = [
        [
            {"issue": finding.issue, "detail": finding.detail}
            for finding in analyze_policy_string(policy).findings
        ]
        for policy in json.load(sys.stdin)
    ]
    json.dump(found, sys.stdout, default=str)


if __name__ == "__main__":
    main()
