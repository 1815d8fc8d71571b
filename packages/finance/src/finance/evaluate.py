"""Judge a saved run on new labelled data: python -m finance.evaluate run=FOLDER data=table data.path=FILE."""

import finance

if __name__ == "__main__":
    finance.evaluate.main()
