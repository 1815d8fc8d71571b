"""How much energy a run takes: counters where the machine has them, power models, with their uncertainty, where not."""
