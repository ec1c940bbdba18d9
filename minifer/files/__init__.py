"""Files and folders: written whole or not at all, by one program at a time.

``whole.py`` writes files, ``folders.py`` locks and fills folders, ``tables.py`` has
tables that a spreadsheet opens without harm, ``reading.py`` opens what is a file.
``parsing.py`` turns whatever fails in one into a line; ``arrays.py`` reads ``.npz``
after its sizes have been compared, and is asked for by name, for it needs NumPy.
"""

from .folders import (break_lock, hold_folder, lock_folder, new_folder,
                      release_folders)
from .parsing import naming, open_zip, parse_json, read_bytes, read_json, reading
from .reading import digest, open_file, sha256, utf8_path
from .tables import csv_text, csv_writer, read_csv
from .whole import (atomic_path, atomic_write, check_target, make_folder,
                    remove_leftovers, write_bytes, write_json, write_new, write_text)

__all__ = ["atomic_write", "atomic_path", "write_bytes", "write_text", "write_json",
           "write_new", "check_target", "remove_leftovers", "csv_writer", "csv_text",
           "read_csv", "make_folder", "new_folder", "lock_folder", "hold_folder",
           "release_folders", "break_lock", "open_file", "utf8_path", "sha256",
           "digest", "reading", "naming", "read_bytes", "read_json", "parse_json",
           "open_zip"]
