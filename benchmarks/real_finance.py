"""Finance on real data: the model and its classical baseline on the same splits, over seeds.

PLINTH_DATA=... python benchmarks/real_finance.py [--only fdh_week ...] [--runs FOLDER] [--json FILE]
A finished run in FOLDER is read, not repeated.
"""

from __future__ import annotations

from repeated_runs import Row, main

FRAUD = ("auprc", "auroc", "recall_at_1_fpr", "alerts.card_precision_at_100")
ROWS = [
    Row("fdh, one week, the handbook's protocol", "fdh_week", FRAUD),
    Row("fdh, April to July, test September", "fdh_months", FRAUD),
    Row("fdh, one week, epsilon 3 for each customer", "fdh_dp", FRAUD),
    Row("taiwan, default next month", "taiwan", ("auroc", "auprc")),
]

if __name__ == "__main__":
    assert __doc__
    main("finance", ROWS, __doc__)
