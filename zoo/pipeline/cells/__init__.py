"""Cell models: fields -> train -> find -> record and gallery."""
