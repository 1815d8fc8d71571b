"""Sentences for people, made of the record's sections: a module a section, shared by page, card and terminal."""
