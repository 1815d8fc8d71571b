"""Small models, targets, batches and records that keep the protocols, shared by the tests of core."""
