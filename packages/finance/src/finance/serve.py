"""Answer rows over HTTP: python -m finance.serve run=FOLDER port=8000."""

import finance

if __name__ == "__main__":
    finance.serve.main()
