"""Steps that the emulator tests deploy."""
