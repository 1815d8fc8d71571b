"""Turn utterances and sensor readings into device actions: python -m smarthome.control run=FOLDER input=FILE (or -).

Each line of the input is an utterance, or a JSON object: ``{"text": ..., "area": ...}``, ``{"sensors": {...},
"area": ..., "unit": ..., "time": ...}`` (with ``scene_run``), or ``{"confirm": true, "id": ...}`` for the plan that
waits. Each response is one line of JSON, appended to the output. The home is simulated (``home=FILE`` or the one in the
package); its state is kept in OUTPUT.home.
"""

import smarthome

if __name__ == "__main__":
    smarthome.control.main()
