"""What a campaign found, name by name: read page by page, names made again from the source, nothing kept in memory.

Whether somebody may read a campaign is decided before (`Operations.campaign`); here it is found in its tenant or not.
"""

from domainflow.export.formats import COLUMNS, write_csv, write_jsonl
from domainflow.export.rows import Row, Rows, rows

__all__ = ["COLUMNS", "Row", "Rows", "rows", "write_csv", "write_jsonl"]
