"""Generated from proto/engine.proto by `make proto`."""
