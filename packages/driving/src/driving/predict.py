"""Predict raw rows: python -m driving.predict run=FOLDER input=FILE output=FILE."""

import driving

if __name__ == "__main__":
    driving.predict.main()
