"""Predict raw rows: python -m finance.predict run=FOLDER input=FILE output=FILE."""

import finance

if __name__ == "__main__":
    finance.predict.main()
