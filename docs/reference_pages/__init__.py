"""The pages of docs/ that follow from the code: options, commands, metrics, the record, renamed keys."""
