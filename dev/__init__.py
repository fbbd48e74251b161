"""What `make` runs: environments, the emulator, Terraform, the layer, the reference.

Modules that run before `.venv` exists (bootstrap, emulator, stage) use the standard library alone.
Everything they write lies inside this folder, in `.venv*`, `.fluxio` and the `dist` folders; a trial in an
AWS account (`aws_trial`) keeps its state in `.aws-trial`.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".fluxio"
