"""Judge a saved run on new labelled data: python -m smarthome.evaluate run=FOLDER data=table data.path=FILE."""

from core.app import callable_module, evaluate
from smarthome import DOMAIN

main = evaluate(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
