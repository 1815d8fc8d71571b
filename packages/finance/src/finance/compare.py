"""Set finished runs beside each other: python -m finance.compare runs=[A,B].

Writes comparison.html and comparison.csv.
"""

import finance

if __name__ == "__main__":
    finance.compare.main()
