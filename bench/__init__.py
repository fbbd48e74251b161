"""fluxio measured beside its rivals, in rounds that alternate, on one emulator: see README.md."""
