"""Judges TOML by a JSON Schema, with nothing of tidegate: tomllib reads, jsonschema judges.

Usage: schema.py SCHEMA REFUSED FILE...

The schema must be one of draft-07. Each FILE must be allowed, and each of the texts in REFUSED must
not be. Prints what is otherwise, and exits with 1 if anything is.
"""

import datetime
import json
import pathlib
import sys
import tomllib

import jsonschema


def read(text: str) -> dict:
    """Reads TOML as JSON has it: a date is a text."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [plain(entry) for entry in value]
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        return value

    return plain(tomllib.loads(text))


def main() -> int:
    schema_file, refused_file, *files = map(pathlib.Path, sys.argv[1:])
    schema = json.loads(schema_file.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    complaints = []
    for file in files:
        instance = read(file.read_text())
        complaints += [f"{file}: {error.json_path}: {error.message}" for error in validator.iter_errors(instance)]
    texts = tomllib.loads(refused_file.read_text())["texts"]
    complaints += [f"allowed: {text!r}" for text in texts if validator.is_valid(read(text))]
    print(*complaints, sep="\n")
    print(f"{len(files)} files and {len(texts)} texts judged")
    return 1 if complaints or not files or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
