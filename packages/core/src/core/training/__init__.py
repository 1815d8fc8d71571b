"""Training: a short loop over an Update; optimizers, schedules, precision, checkpoints."""
