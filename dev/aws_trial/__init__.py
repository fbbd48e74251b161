"""fluxio on AWS itself: a deployment is made, tried step by step against what is expected, and taken away.

    python -m dev.aws_trial --region us-east-1

docs/aws-trial.md says what it makes, what it can cost and how to read what it writes. Against an emulator it
runs as well (`--emulator NAME`), and marks what only AWS can answer.

    plan.py        the steps: what each does, expects and can cost
    steps/         the steps themselves
    trial.py       what a step has in hand: clients, the deployment, the worker's log and metrics
    deployment.py  Terraform, and which settings are applied
    target.py      AWS or an emulator
    record.py      what is known so far, kept in a folder, so that an abort loses nothing
    leftovers.py   what is there under the trial's name or tag
    report.py      the page and the JSON
"""
