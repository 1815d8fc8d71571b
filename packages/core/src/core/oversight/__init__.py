"""Who decides: intended use, the confidence a prediction needs, and when it is deferred to a human."""
