"""Write a finished run's documents again: python -m driving.card run=FOLDER."""

import driving

if __name__ == "__main__":
    driving.card.main()
