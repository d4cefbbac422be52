"""What the store's protocol itself defines: how a sweep is reported, and which jobs count as ended."""

from chalicelib.models import Status
from chalicelib.storage.protocol import SweepReport, count_ended


def test_the_log_line_of_a_sweep_says_what_it_did_and_nothing_else() -> None:
    """An operator reads the numbers of jobs with what happened to them; what did not happen is left out."""
    report = SweepReport(released=2, given_up=1)
    assert report.fixed == 3
    assert str(report) == "2 put back into the queue; 1 ended in error, all attempts used up"
    assert SweepReport().fixed == 0


def test_a_job_that_is_unknown_counts_as_ended() -> None:
    """Its status will not change any more, so waiting for it has no use."""
    assert count_ended([Status.QUEUED, Status.PROCESSING, Status.ERROR, None]) == 2
