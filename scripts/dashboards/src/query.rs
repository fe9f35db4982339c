//! `PromQL` of the usual forms.
//!
//! `{@` in a query stands for the selection by the dashboard's variables, which every selector has.

/// How `{@` reads in the file.
const SELECTION: &str = r#"job=~"$job", instance=~"$instance""#;

/// Events per second of a counter, by labels.
pub(crate) fn rate(counter: &str, by: &[&str]) -> String {
    sum(by, &format!("rate({counter}{{@}}[$__rate_interval])"))
}

/// A quantile of a histogram, by labels.
pub(crate) fn quantile(quantile: f64, histogram: &str, by: &[&str]) -> String {
    let by = [by, &["le"]].concat();
    let buckets = sum(&by, &format!("rate({histogram}_bucket{{@}}[$__rate_interval])"));
    format!("histogram_quantile({quantile}, {buckets})")
}

/// The sum of a gauge, by labels.
pub(crate) fn level(gauge: &str, by: &[&str]) -> String {
    sum(by, &format!("{gauge}{{@}}"))
}

/// The share of the pools' connections that is in use, by instance: the most at a scrape of the window. A pool that is
/// empty for seconds is full again at most others.
pub(crate) fn pool_in_use(window: &str) -> String {
    in_use("database_pool_connections", &["instance"], window)
}

/// The same of each pool that has a name.
pub(crate) fn named_pool_in_use(window: &str) -> String {
    in_use("database_pool_connections_by_pool", &["instance", "pool"], window)
}

fn in_use(gauge: &str, by: &[&str], window: &str) -> String {
    let of = |state: &str| format!(r#"{gauge}{{@, state="{state}"}}"#);
    let most = format!("max_over_time({}[{window}])", of("active"));
    format!("{} / {}", sum(by, &most), sum(by, &of("total")))
}

/// The share that some events of a counter have in others of it, by labels.
pub(crate) fn share(counter: &str, by: &[&str], some: &str, of: &str) -> String {
    let rate = |matcher: &str| {
        let matcher = if matcher.is_empty() { String::new() } else { format!(", {matcher}") };
        sum(by, &format!("rate({counter}{{@{matcher}}}[$__rate_interval])"))
    };
    format!("{} / ({} > 0)", rate(some), rate(of))
}

/// The query as it stands in the file.
pub(crate) fn expand(query: &str) -> String {
    query.replace("{@", &format!("{{{SELECTION}"))
}

/// The legend for series by labels.
pub(crate) fn legend(by: &[&str]) -> String {
    let names: Vec<String> = by.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    names.join(" ")
}

fn sum(by: &[&str], of: &str) -> String {
    if by.is_empty() { format!("sum({of})") } else { format!("sum by ({}) ({of})", by.join(", ")) }
}
