"""How much energy a run takes: counters where the machine has them, models with an error band where not."""
