//! The backend is stopped, or killed, while clients ask.

use crate::{
    incident::Incident,
    runbooks::{Excuse::Nothing, NO_PANIC},
};

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
    let shows_nothing = [
        Nothing(r#"sum(up{job="backend"})"#, "0 is what it says"),
        Nothing("process_start_time_seconds", "it was not restarted yet"),
    ];
    incident.is_over(&["BackendServiceDown"], &shows_nothing);
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_backend_that_crashes_over_and_over_is_told_of_until_it_stays_up() {
    let mut incident = Incident::healthy("crashes");
    for crash in 1..=5 {
        // They lose what they wait for.
        incident.load.take().expect("there are clients").stop();
        incident.backend.signal("KILL");
        incident.backend.end();
        incident.restart();
        incident.start_load();
        // A start that is not scraped is not seen.
        incident.comes_true(&format!("changes(process_start_time_seconds[1h]) >= {crash}"));
    }
    incident.fires("pager", "BackendCrashLooping");
    incident.resolves("pager", "BackendCrashLooping");
    let shows_nothing = [
        NO_PANIC,
        Nothing("unhandled_exceptions_total", "it is killed"),
        Nothing("application_errors_total", "it is killed"),
    ];
    incident.is_over(&["BackendCrashLooping"], &shows_nothing);
    incident.nothing_has_drifted();
}
