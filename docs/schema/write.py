"""Writes the JSON Schemas of this folder from the code: ``python docs/schema/write.py``."""

from pathlib import Path

from consortium.plain import all_schemas, schema_text

HERE = Path(__file__).parent

if __name__ == "__main__":
    wanted = all_schemas()
    for stale in HERE.glob("*.json"):
        if stale.name not in wanted:
            stale.unlink()
    for name, data in wanted.items():
        (HERE / name).write_text(schema_text(data), "utf-8")
