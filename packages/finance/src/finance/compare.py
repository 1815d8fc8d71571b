"""Set finished runs beside each other: python -m finance.compare runs=[A,B].

Writes comparison.html and comparison.csv.
"""

from core.app import callable_module, compare
from finance import DOMAIN

main = compare(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
