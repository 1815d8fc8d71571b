"""Judge a saved run on new labelled data: python -m smarthome.evaluate run=FOLDER data=table data.path=FILE."""

import smarthome

if __name__ == "__main__":
    smarthome.evaluate.main()
