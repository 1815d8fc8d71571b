"""Education on real data: the model and its classical baseline on the same splits, over seeds.

PLINTH_DATA=... python benchmarks/real_education.py [--only beetle_unseen_answers ...] [--runs FOLDER] [--json FILE]
A finished run in FOLDER is read, not repeated.
"""

from __future__ import annotations

from repeated_runs import Row, main

PLAIN = ("evaluation.studies=false",)
"""The metrics of the table need no study."""
FOLDS = [(f"data.fold={f}", f"seed={s}") for s in range(3) for f in range(5)]
METRICS = ("macro_f1", "accuracy")
ROWS = [
    Row("Beetle, unseen answers, 3-way", "beetle_unseen_answers", METRICS, PLAIN),
    Row("Beetle, unseen questions, 3-way", "beetle_unseen_questions", METRICS, PLAIN),
    Row("SciEntsBank, unseen answers, 3-way", "scientsbank_unseen_answers", METRICS, PLAIN),
    Row("SciEntsBank, unseen questions, 3-way", "scientsbank_unseen_questions", METRICS, PLAIN),
    Row("SciEntsBank, unseen domains, 3-way", "scientsbank_unseen_domains", METRICS, PLAIN),
    Row(
        "uci_student mathematics, early, 5 folds", "student", ("rmse", "mae"), (*PLAIN, "data.subjects=[mathematics]"),
        FOLDS, 5,
    ),
    Row(
        "uci_student Portuguese, early, 5 folds", "student", ("rmse", "mae"), (*PLAIN, "data.subjects=[portuguese]"),
        FOLDS, 5,
    ),
]  # fmt: skip

if __name__ == "__main__":
    assert __doc__
    main("education", ROWS, __doc__)
