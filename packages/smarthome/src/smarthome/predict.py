"""Predict raw rows: python -m smarthome.predict run=FOLDER input=FILE output=FILE."""

import smarthome

if __name__ == "__main__":
    smarthome.predict.main()
