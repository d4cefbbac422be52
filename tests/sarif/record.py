"""Makes a golden file: `python -m tests.sarif.record tests/sarif/golden/gcc.json`.

A golden file has a request, the result of a real compiler, and the SARIF of that result. For a new family,
write a file with only the request and record it. Then read the recording: from then on tests take it for
correct.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chalicelib.models import CompileRequest, Job, Result
from chalicelib.sarif.document import job_document

GOLDEN = Path(__file__).parent / "golden"
JOB_ID = "0123456789abcdef" * 2
# golden → sarif → runs → run → results → result
_LEVELS = 5
_STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_COMPLETED = datetime(2026, 1, 2, 3, 4, 6, 500_000, tzinfo=UTC)


def sarif_of(golden: dict[str, Any]) -> dict[str, Any]:
    """The SARIF of a golden file's request and result."""
    result = Result.model_validate(golden["result"])
    request = CompileRequest.model_validate(golden["request"])
    job = Job(
        id=result.job_id,
        request=request,
        status=result.status,
        created_at=_STARTED,
        started_at=_STARTED,
        completed_at=_COMPLETED,
    )
    return job_document(job, result)


def compiled(request: CompileRequest) -> Result:
    """The result of the real compiler of this machine."""
    from tests.support.compilers import real_compilers

    return real_compilers().executor.compile(JOB_ID, request)


def _record(path: Path) -> None:
    golden = json.loads(path.read_text(encoding="utf-8"))
    request = CompileRequest.model_validate(golden["request"])
    golden["result"] = compiled(request).model_dump(mode="json")
    golden["sarif"] = sarif_of(golden)
    path.write_text(_text(golden, _LEVELS) + "\n", encoding="utf-8")


def _text(value: Any, levels: int, indent: str = "") -> str:
    """JSON with one line for each value of the outer levels: changes are visible, and files stay short."""
    if levels == 0 or not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{json.dumps(name)}: {_text(item, levels - 1, inner)}" for name, item in value.items()]
    else:
        lines = [_text(item, levels - 1, inner) for item in value]
    first, last = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{first}\n{inner}" + f",\n{inner}".join(lines) + f"\n{indent}{last}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        _record(Path(name))
