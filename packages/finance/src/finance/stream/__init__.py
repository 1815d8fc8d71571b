"""Monitoring of a stream of transactions: the verb ``finance.monitor``."""
