"""The embedded defaults: simulated signs and street scenes."""
