"""Training of core's pretrained weights, and of CIFAR-10 from scratch: ``python -m core.pretrain recipe=cnn``.

No task of ``core.run``: it has several data sets, losses of its own and weights to export, but no encoder, target and
impact. It uses the same trainer, validator, checkpoints, optimizers, energy meter, plots and page style as a run.
"""
