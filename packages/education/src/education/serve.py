"""Answer rows over HTTP: python -m education.serve run=FOLDER port=8000."""

from core.app import callable_module, serve
from education import DOMAIN

main = serve(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
