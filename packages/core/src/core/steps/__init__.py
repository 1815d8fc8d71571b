"""The six steps of ``core.pipeline``, one module each."""
