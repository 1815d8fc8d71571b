"""Training of core's pretrained weights, and of CIFAR-10 from scratch: ``python -m core.pretrain recipe=cnn|text|cifar10``.

Not a task of ``core.run``: it has several data sets, losses of its own and weights to export, but no encoder, target or
record of impact. Trainer, validator, checkpoints, optimizers, energy meter and the page's style are the same as a run's.
"""
