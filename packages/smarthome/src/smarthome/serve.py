"""Answer rows over HTTP: python -m smarthome.serve run=FOLDER port=8000."""

import smarthome

if __name__ == "__main__":
    smarthome.serve.main()
