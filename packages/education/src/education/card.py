"""Write a finished run's documents again: python -m education.card run=FOLDER."""

from core.app import callable_module, card
from education import DOMAIN

main = card(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
