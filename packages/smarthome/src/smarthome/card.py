"""Write a finished run's documents again: python -m smarthome.card run=FOLDER."""

import smarthome

if __name__ == "__main__":
    smarthome.card.main()
