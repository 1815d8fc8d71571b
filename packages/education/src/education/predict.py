"""Predict raw rows: python -m education.predict run=FOLDER input=FILE output=FILE."""

from core.app import callable_module, predict
from education import DOMAIN

main = predict(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
