"""Watch a stream of transactions: python -m finance.monitor run=FOLDER input=FILE output=FILE [follow=true]."""

import finance

if __name__ == "__main__":
    finance.monitor.main()
