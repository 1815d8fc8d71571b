"""Privacy: plan, exact clipping, preflight, accounting, audit and statement."""
