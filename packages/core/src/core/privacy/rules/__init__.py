"""How each kind of layer yields its per-example gradients: one module per kind."""
