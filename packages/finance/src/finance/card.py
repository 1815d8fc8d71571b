"""Write a finished run's documents again: python -m finance.card run=FOLDER."""

import finance

if __name__ == "__main__":
    finance.card.main()
