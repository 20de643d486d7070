"""A pytest plugin: one JSON line a test to the file SUITE_REPORT, as they end.

What Pinecone's suites do after the last test (they remove backups) is then of no matter.
"""

import json
import os


def pytest_runtest_logreport(report):
    if report.when != "call" and report.outcome == "passed":
        return
    line = {"name": report.nodeid, "outcome": report.outcome}
    if report.outcome == "failed":
        line["error"] = report.longreprtext
    if report.outcome == "skipped":
        line["error"] = str(report.longrepr[-1] if report.longrepr else "")
    with open(os.environ["SUITE_REPORT"], "a") as file:
        file.write(json.dumps(line) + "\n")
