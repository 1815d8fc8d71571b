"""Watch a stream of transactions: python -m finance.monitor run=FOLDER input=FILE output=FILE [follow=true]."""

from core.app import callable_module
from finance import DOMAIN
from finance.stream.config import monitor

main = monitor(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
