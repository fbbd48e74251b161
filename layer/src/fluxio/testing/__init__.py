"""The services that fluxio runs on, in this process, for tests."""
