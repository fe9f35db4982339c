//! The backend is stopped while clients ask.

use crate::incident::Incident;

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_backend_that_is_stopped_under_load_answers_what_it_has_begun_and_is_told_of() {
    let mut incident = Incident::healthy("stopped");
    incident.backend.signal("TERM");
    let (status, log) = incident.backend.end();
    assert!(status.success(), "{status}");
    assert_eq!(log.last().expect("it logs")["message"], "stopped");
    let tally = incident.load.take().expect("there are clients").stop();
    // Every request that it began was answered to its end: those of the clients, and their log-in.
    let begun = log.iter().filter(|line| line["message"] == "answered").count();
    assert_eq!(tally.answers.values().sum::<u64>() + 1, begun as u64, "{:?}", tally.unanswered);
    assert!(log.iter().all(|line| line["message"] != "not answered"), "{:?}", tally.unanswered);
    incident.fires("pager", "BackendServiceDown");

    incident.restart();
    incident.start_load();
    incident.resolves("pager", "BackendServiceDown");
    incident.is_over(&["BackendServiceDown"]);
    incident.nothing_has_drifted();
}
