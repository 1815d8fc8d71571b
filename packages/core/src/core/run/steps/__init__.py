"""The six steps of ``core.run.pipeline``, one module each."""
