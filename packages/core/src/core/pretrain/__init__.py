"""Training of the backbones that core ships: ``python -m core.pretrain recipe=cnn|text|cifar10``."""
