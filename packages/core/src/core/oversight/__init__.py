"""Who is responsible: what a model is for, how sure it must be, and when a human decides."""
