"""What the field asks of a run beyond figures of its predictions."""
