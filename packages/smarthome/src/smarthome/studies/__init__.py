"""Studies of a smart home, beyond metrics of the predictions."""
