"""Upgrade a record of schema_version 1, as plinth-core 0.1 wrote it, to schema_version 2. Removed in 0.3.0."""
