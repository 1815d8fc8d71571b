"""Which features a prediction rests on: attributions, and tests of their faithfulness."""
