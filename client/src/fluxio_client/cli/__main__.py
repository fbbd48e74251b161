"""`python -m fluxio_client.cli` is `fluxio`."""

from fluxio_client.cli.entry import main

main()
