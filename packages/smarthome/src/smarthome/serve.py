"""Answer rows over HTTP: python -m smarthome.serve run=FOLDER port=8000."""

from core.app import callable_module, serve
from smarthome import DOMAIN

main = serve(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
