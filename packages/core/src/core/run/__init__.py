"""One run from configuration to folder: the pipeline, its state, its directory."""
