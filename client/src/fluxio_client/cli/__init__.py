"""The command `fluxio`: look at runs and steer them, from a terminal or a script.

It needs the extra `cli` (typer and rich). Nothing of it is imported with `fluxio_client`, so a service that
only starts runs does not pay for it.
"""
