//! Registries of `prometheus-client` whose families come out after those of this crate.
//!
//! What they write is read family by family and rewritten for the format. What a strict reader would refuse a
//! scrape for is left out and counted: a family that cannot be read or whose name is taken, else the series or
//! the exemplar. The rest of the scrape does not suffer from it.

use std::collections::{HashMap, HashSet};

use super::{
    Format,
    parse::{self, Exemplar, Family, Sample},
    strict::{self, Key},
};
use crate::{
    instance::{Metrics, Written},
    labels::ErrorSeverity,
    registry,
};

/// The names of the instance's own families and of their samples, which are taken.
fn own_names(families: &[registry::Family]) -> HashSet<String> {
    families.iter().flat_map(|family| family.definition.names()).collect()
}

/// The families of what registries wrote in a format, and how many families, series and exemplars are left out.
pub(crate) fn rewritten(
    texts: &[impl AsRef<str>],
    taken: &HashSet<String>,
    format: Format,
) -> (String, usize) {
    let mut left_out = 0;
    let mut collected = Collected::new(taken);
    for block in texts.iter().flat_map(|text| parse::blocks(text.as_ref())) {
        left_out += parse::family(block).map_or(1, |family| collected.add(family));
    }
    let mut out = String::new();
    for (family, _) in &collected.families {
        push_family(&mut out, family, format);
    }
    (out, left_out)
}

/// Encodes the foreign families of an instance, in the order of its registries, from what each of them wrote.
pub(super) fn encode(metrics: Metrics, written: &[Option<Written>], format: Format) -> String {
    if written.is_empty() {
        return String::new();
    }
    let (text, left_out) = of_registries(metrics, written, format);
    for _ in 0..left_out {
        count_foreign_error(metrics);
    }
    text
}

/// The families of the registries of an instance, and how many families and registries are left out.
fn of_registries(metrics: Metrics, written: &[Option<Written>], format: Format) -> (String, usize) {
    let texts: Vec<_> = written.iter().flatten().map(|text| text.as_str()).collect();
    let (text, left_out) = rewritten(&texts, &own_names(&metrics.instance().families), format);
    (text, left_out + written.len() - texts.len())
}

/// Counts something foreign that is left out of a scrape.
fn count_foreign_error(metrics: Metrics) {
    metrics.track_application_error("foreign_metrics", ErrorSeverity::Error);
}

/// The families that can be exposed side by side.
struct Collected<'a> {
    families: Vec<(Family<'a>, HashSet<Key<'a>>)>,
    /// Which of the families has a name.
    names: HashMap<String, usize>,
    /// The names that none of them can have.
    taken: &'a HashSet<String>,
}

impl<'a> Collected<'a> {
    fn new(taken: &'a HashSet<String>) -> Self {
        Self { families: Vec::new(), names: HashMap::new(), taken }
    }

    /// Adds a family, or its series to the family of its name; how much of it is left out.
    fn add(&mut self, mut family: Family<'a>) -> usize {
        let names = names_of(&family);
        // Registries with labels of their own may each have a part of the same family.
        let part_of = self.names.get(family.name).copied().filter(|index| {
            let (whole, _) = &self.families[*index];
            whole.name == family.name && whole.kind == family.kind
        });
        let index = part_of.unwrap_or(self.families.len());
        let is_of_another = |name| self.names.get(name).is_some_and(|owner| *owner != index);
        if names.iter().any(|name| self.taken.contains(name) || is_of_another(name)) {
            return 1;
        }
        self.names.extend(names.into_iter().map(|name| (name, index)));
        let (all, mut left_out) = strict::checked(family.kind, std::mem::take(&mut family.samples));
        if part_of.is_none() {
            self.families.push((family, HashSet::new()));
        }
        let (whole, known) = &mut self.families[index];
        for series in all {
            if known.insert(series.key) {
                whole.samples.extend(series.samples);
            } else {
                left_out += 1;
            }
        }
        left_out
    }
}

/// The names that are the family's alone, in both formats.
fn names_of(family: &Family<'_>) -> Vec<String> {
    family.kind.reserved.iter().map(|suffix| format!("{}{suffix}", family.name)).collect()
}

fn push(out: &mut String, parts: &[&str]) {
    out.extend(parts.iter().copied());
}

fn push_family(out: &mut String, family: &Family<'_>, format: Format) {
    let Family { name, help, kind, unit, samples } = family;
    if samples.is_empty() {
        return;
    }
    let (suffix, word) = match (format, kind.word) {
        (Format::OpenMetrics, word) => ("", word),
        (Format::Text, "counter") => ("_total", kind.text),
        (Format::Text, "info") => ("_info", kind.text),
        (Format::Text, _) => ("", kind.text),
    };
    push(out, &["# HELP ", name, suffix, " "]);
    push_help(out, help, format);
    push(out, &["\n# TYPE ", name, suffix, " ", word, "\n"]);
    if let (Format::OpenMetrics, Some(unit)) = (format, unit)
        && kind.word != "info"
        && name.strip_suffix(unit).is_some_and(|stem| !unit.is_empty() && stem.ends_with('_'))
    {
        push(out, &["# UNIT ", name, " ", unit, "\n"]);
    }
    for sample in samples {
        push_sample(out, name, sample, format);
    }
}

/// Writes a HELP text, which `prometheus-client` does not escape.
fn push_help(out: &mut String, help: &str, format: Format) {
    let mut characters = help.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // A service may have escaped it to work around that.
            '\\' => match characters.next_if(|next| matches!(next, '\\' | 'n' | '"')) {
                // Text 0.0.4 does not know it.
                Some('"') if format == Format::Text => out.push('"'),
                Some(escaped) => out.extend(['\\', escaped]),
                None => out.push_str("\\\\"),
            },
            '"' if format == Format::OpenMetrics => out.push_str("\\\""),
            character => out.push(character),
        }
    }
}

fn push_sample(out: &mut String, name: &str, sample: &Sample<'_>, format: Format) {
    push(out, &[name, sample.suffix]);
    if !sample.labels.is_empty() {
        push(out, &["{", sample.labels, "}"]);
    }
    push(out, &[" ", sample.value]);
    if let (Format::OpenMetrics, Some(Exemplar { labels, value, timestamp })) =
        (format, &sample.exemplar)
    {
        push(out, &[" # {", labels, "} ", value]);
        if let Some(seconds) = timestamp {
            push(out, &[" ", seconds]);
        }
    }
    out.push('\n');
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "what `families!` declares is public")]
mod tests {
    use std::{borrow::Cow, time::Duration};

    use prometheus_client::{
        collector::Collector,
        encoding::DescriptorEncoder,
        metrics::{
            counter::Counter,
            exemplar::CounterWithExemplar,
            family::Family as ForeignFamily,
            gauge::{ConstGauge, Gauge},
            histogram::{Histogram, NativeHistogramConfig},
            info::Info,
        },
        registry::{Registry, Unit},
    };

    use super::*;
    use crate::{Metrics, collect::callback::Deadline, exposition::encoder};

    families! {
        /// Facts of the desk.
        pub struct DeskFacts = "desk_facts" {
            /// Facts of the desk
            pub facts: crate::Info = "desk_facts_info",
        }
    }

    fn rewritten(registries: Vec<Registry>, format: Format) -> (String, usize) {
        let builder = Metrics::builder().mount::<DeskFacts>();
        let metrics = registries.into_iter().fold(builder, crate::Builder::registry);
        let metrics = metrics.build().unwrap();
        _ = metrics.mounted::<DeskFacts>().unwrap().facts;
        of_registries(metrics, &written(metrics), format)
    }

    /// What the registries of an instance write.
    fn written(metrics: Metrics) -> Vec<Option<Written>> {
        metrics.refresh_with(Deadline::after(Duration::MAX), &metrics.instance().registries)
    }

    fn exposed(registries: Vec<Registry>, format: Format) -> String {
        let (text, left_out) = rewritten(registries, format);
        assert_eq!(left_out, 0);
        text
    }

    fn all_kinds() -> Registry {
        let labels = [(Cow::from("desk"), Cow::from("a\"b\\c\nd"))];
        let mut registry = Registry::with_labels(labels.into_iter());
        let quotes = CounterWithExemplar::<Vec<(&str, &str)>>::default();
        quotes.inc_by(3, Some(vec![("trace_id", "7 # 8")]), None);
        registry.register("desk_quotes", "Quotes \"sent\" to C:\\new\\", quotes);
        let wait: Histogram = Histogram::new([0.5, 10.0]);
        wait.observe(0.25);
        wait.observe(f64::INFINITY);
        registry.register_with_unit("desk_wait", "Waits", Unit::Seconds, wait);
        let spread: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        spread.set(f64::NEG_INFINITY);
        registry.register("desk_spread", "Spread", spread);
        registry.register("desk", "The desk", Info::new(vec![("floor", "3")]));
        registry.register(
            "desk_bare",
            "No labels of its own",
            Info::new(Vec::<(&str, &str)>::new()),
        );
        registry
    }

    #[test]
    fn every_kind_comes_out_in_openmetrics() {
        assert_eq!(
            exposed(vec![all_kinds()], Format::OpenMetrics),
            r#"# HELP desk_quotes Quotes \"sent\" to C:\new\\.
# TYPE desk_quotes counter
desk_quotes_total{desk="a\"b\\c\nd"} 3 # {trace_id="7 # 8"} 3.0
# HELP desk_wait_seconds Waits.
# TYPE desk_wait_seconds histogram
# UNIT desk_wait_seconds seconds
desk_wait_seconds_sum{desk="a\"b\\c\nd"} +Inf
desk_wait_seconds_count{desk="a\"b\\c\nd"} 2
desk_wait_seconds_bucket{desk="a\"b\\c\nd",le="0.5"} 1
desk_wait_seconds_bucket{desk="a\"b\\c\nd",le="10.0"} 1
desk_wait_seconds_bucket{desk="a\"b\\c\nd",le="+Inf"} 2
# HELP desk_spread Spread.
# TYPE desk_spread gauge
desk_spread{desk="a\"b\\c\nd"} -Inf
# HELP desk The desk.
# TYPE desk info
desk_info{desk="a\"b\\c\nd",floor="3"} 1
# HELP desk_bare No labels of its own.
# TYPE desk_bare info
desk_bare_info{desk="a\"b\\c\nd"} 1
"#
        );
    }

    #[test]
    fn every_kind_comes_out_in_text() {
        assert_eq!(
            exposed(vec![all_kinds()], Format::Text),
            r#"# HELP desk_quotes_total Quotes "sent" to C:\new\\.
# TYPE desk_quotes_total counter
desk_quotes_total{desk="a\"b\\c\nd"} 3
# HELP desk_wait_seconds Waits.
# TYPE desk_wait_seconds histogram
desk_wait_seconds_sum{desk="a\"b\\c\nd"} +Inf
desk_wait_seconds_count{desk="a\"b\\c\nd"} 2
desk_wait_seconds_bucket{desk="a\"b\\c\nd",le="0.5"} 1
desk_wait_seconds_bucket{desk="a\"b\\c\nd",le="10.0"} 1
desk_wait_seconds_bucket{desk="a\"b\\c\nd",le="+Inf"} 2
# HELP desk_spread Spread.
# TYPE desk_spread gauge
desk_spread{desk="a\"b\\c\nd"} -Inf
# HELP desk_info The desk.
# TYPE desk_info gauge
desk_info{desk="a\"b\\c\nd",floor="3"} 1
# HELP desk_bare_info No labels of its own.
# TYPE desk_bare_info gauge
desk_bare_info{desk="a\"b\\c\nd"} 1
"#
        );
    }

    #[test]
    fn the_kind_that_text_does_not_have_is_mapped() {
        let mut text = String::new();
        let block = "# HELP c C\n# TYPE c unknown\nc 1\n";
        push_family(&mut text, &parse::family(block).unwrap(), Format::Text);
        assert_eq!(text, "# HELP c C\n# TYPE c untyped\nc 1\n");
    }

    /// The names of the samples that come out, and how much is left out.
    fn names(registries: Vec<Registry>) -> (Vec<String>, usize) {
        let (text, left_out) = rewritten(registries, Format::OpenMetrics);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        (lines.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect(), left_out)
    }

    fn counter() -> Counter {
        Counter::default()
    }

    #[test]
    fn what_a_scraper_could_not_read_is_left_out() {
        let mut registry = Registry::default();
        registry.register("first", "Stays", counter());
        registry.register("broken", "Has a\nnewline", counter());
        registry.register("forged", "Has\n# TYPE forged counter\nforged_total 1\n# EOF", counter());
        registry.register("not-a-name", "A dash", counter());
        registry.register("", "No name", counter());
        registry.register("line\nbreak", "A newline", counter());
        let labelled = ForeignFamily::<Vec<(String, String)>, Counter>::default();
        labelled.get_or_create(&vec![("a".into(), "b".into()), ("a".into(), "c".into())]).inc();
        registry.register("twice", "The same label twice", labelled);
        let labelled = ForeignFamily::<Vec<(String, String)>, Counter>::default();
        labelled.get_or_create(&vec![("a\"} 1\nevil".into(), "b".into())]).inc();
        registry.register("label", "An evil label", labelled);
        registry.register("last", "Stays", counter());
        let (names, left_out) = names(vec![registry]);
        assert_eq!(names, ["first_total", "last_total"]);
        assert_eq!(left_out, 7);
    }

    #[test]
    fn a_taken_name_is_left_out() {
        let mut registry = Registry::default();
        registry.register("database_queries", "A counter of ours", counter());
        registry.register("mine", "Stays", counter());
        registry.register("mine", "The same series", counter());
        let mut other = Registry::default();
        for name in [
            "mine_total",
            "database_queries",
            "database_queries_total",
            "database_queries_created",
            "database_query_duration_seconds",
            "database_query_duration_seconds_bucket",
            "database_query_duration_seconds_sum",
            "database_query_duration_seconds_count",
            "database_pool_connections",
            "desk_facts",
            "desk_facts_info",
        ] {
            other.register(name, "Taken", ConstGauge::new(1_i64));
        }
        let (names, left_out) = names(vec![registry, other]);
        assert_eq!(names, ["mine_total"]);
        assert_eq!(left_out, 13);
    }

    /// Found by `fuzz/fuzz_targets/foreign.rs`.
    #[test]
    fn each_format_gets_the_escapes_it_knows() {
        let text = "# HELP x a \\\"b\\\" \"c\" \\d \\\\e \\nf\n# TYPE x gauge\nx 1\n";
        for (format, help) in [
            (Format::OpenMetrics, r#"a \"b\" \"c\" \\d \\e \nf"#),
            (Format::Text, r#"a "b" "c" \\d \\e \nf"#),
        ] {
            let (rewritten, left_out) = super::rewritten(&[text], &HashSet::new(), format);
            assert_eq!(rewritten.lines().next(), Some(&*format!("# HELP x {help}")));
            assert_eq!(left_out, 0);
        }
    }

    #[test]
    fn the_names_of_a_subsystem_that_is_off_are_free() {
        let mut registry = Registry::default();
        registry.register("database_queries", "A counter", counter());
        let metrics = Metrics::builder().without("database").registry(registry).build().unwrap();
        let text = encode(metrics, &written(metrics), Format::Text);
        assert!(text.contains("\ndatabase_queries_total 0\n"));
    }

    #[test]
    fn parts_of_a_family_are_put_together() {
        let mut registry = Registry::default();
        for desk in ["a", "b", "b"] {
            let desk = registry.sub_registry_with_label(("desk".into(), desk.into()));
            desk.register("quotes", "Quotes sent", counter());
        }
        registry.register("quotes", "Not a counter", ConstGauge::new(1_i64));
        // What is registered with the root comes first.
        let gauge = "# HELP quotes Not a counter.\n# TYPE quotes gauge\nquotes 1\n".to_owned();
        assert_eq!(rewritten(vec![registry], Format::OpenMetrics), (gauge, 3));

        let mut registry = Registry::default();
        for desk in ["a", "b", "b"] {
            let desk = registry.sub_registry_with_label(("desk".into(), desk.into()));
            desk.register("quotes", "Quotes sent", counter());
            desk.register("trades", "Trades made", counter());
        }
        let parts = "# HELP quotes Quotes sent.\n# TYPE quotes counter\n\
             quotes_total{desk=\"a\"} 0\nquotes_total{desk=\"b\"} 0\n\
             # HELP trades Trades made.\n# TYPE trades counter\n\
             trades_total{desk=\"a\"} 0\ntrades_total{desk=\"b\"} 0\n";
        assert_eq!(rewritten(vec![registry], Format::OpenMetrics), (parts.to_owned(), 2));
    }

    #[derive(Debug)]
    struct Panics;

    impl Collector for Panics {
        fn encode(&self, _: DescriptorEncoder<'_>) -> std::fmt::Result {
            panic!("a collector panics, as the test wants");
        }
    }

    #[test]
    fn a_registry_that_fails_costs_itself() {
        let mut native = Registry::default();
        native.register("lost", "Half-way", counter());
        native.register("native", "Fails", Histogram::new_native(NativeHistogramConfig::default()));
        let mut panics = Registry::default();
        panics.register("lost", "Half-way", counter());
        panics.register_collector(Box::new(Panics));
        let mut registry = Registry::default();
        registry.register("mine", "Stays", counter());
        assert_eq!(names(vec![native, panics, registry]), (vec!["mine_total".into()], 2));
    }

    #[test]
    fn ours_come_first_and_the_end_last() {
        let mut registry = Registry::default();
        registry.register("mine", "Mine", counter());
        let builder = Metrics::builder().without("process").without("self");
        let metrics = builder.registry(registry).build().unwrap();
        metrics.refresh(Deadline::after(Duration::MAX));
        let ours = encoder::encode(metrics, Format::OpenMetrics);
        let mine = "# HELP mine Mine.\n# TYPE mine counter\nmine_total 0\n";
        assert_eq!(metrics.encode(Format::OpenMetrics), format!("{ours}{mine}# EOF\n"));
    }
}
