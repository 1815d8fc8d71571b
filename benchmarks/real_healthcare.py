"""Healthcare on real data: the model and its classical baseline on the same splits, over seeds.

PLINTH_DATA=... python benchmarks/real_healthcare.py [--only heart ...] [--runs FOLDER] [--json FILE]
A finished run in FOLDER is read, not repeated.
"""

from __future__ import annotations

from repeated_runs import Row, main

FOLDS = [(f"data.repeat={r}", f"data.fold={f}", f"seed={r}") for r in range(5) for f in range(5)]
ROWS = [
    Row("diabetes130, readmission within 30 days", "diabetes130", ("auroc", "auprc")),
    Row("uci_heart Cleveland, 5 x 5 folds", "heart", ("auroc",), repeats=FOLDS, group=5),
    Row("mtsamples, all specialties of a note", "mtsamples", ("macro_f1", "micro_f1")),
    Row("mtsamples, rarest specialty", "mtsamples_rarest", ("macro_f1", "accuracy")),
    Row("ham10000, seven skin lesions", "ham10000", ("macro_auroc", "balanced_accuracy", "auroc_mel")),
    Row(
        "ham10000, timm ResNet-18 in the same time",
        "ham10000_resnet18",
        ("macro_auroc", "balanced_accuracy", "auroc_mel"),
    ),
    Row("mitbih, beats between patients", "mitbih", ("macro_f1", "balanced_accuracy")),
]

if __name__ == "__main__":
    assert __doc__
    main("healthcare", ROWS, __doc__)
