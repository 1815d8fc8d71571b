"""Turn utterances and sensor readings into device actions: python -m smarthome.control run=FOLDER input=FILE (or -).

Each line of the input is an utterance, or a JSON object: ``{"text": ..., "area": ...}``, ``{"sensors": {...},
"area": ..., "unit": ..., "time": ...}`` (with ``scene_run``), or ``{"confirm": true}`` for the pending plan. Each
response is one line of JSON. The home is simulated (``home=FILE`` or the one in the package).
"""

import smarthome

if __name__ == "__main__":
    smarthome.control.main()
