"""The embedded defaults: data with a known truth."""
