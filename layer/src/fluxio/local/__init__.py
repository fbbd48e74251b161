"""`fluxio dev` and `fluxio replay`: workflows on a developer's machine. No layer has this package."""
