//! Label values, from recording through the exposition in both formats and back by a strict reader.

#![no_main]

use std::{collections::BTreeMap, sync::Mutex};

use backend_metrics::{
    Builder, CounterFamily, Domain, Format, Metrics, Open, families, open_labels,
};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/common/exposition.rs"]
mod exposition;

use exposition::parse;

/// An instance is never freed, so one takes the values of many inputs.
const VALUES: usize = 64;

open_labels! {
    /// Two texts.
    pub struct Pair(one, two);
}

families! {
    /// What is counted by texts.
    pub struct TextMetrics = "texts" {
        with {
            /// The texts seen so far.
            pub pairs: Domain<Pair>,
        }

        /// Things by texts
        pub things: CounterFamily<Open<Pair>> = "texts_things_total",
    }
}

struct State {
    metrics: Metrics,
    constant: String,
    counts: BTreeMap<(String, String), u64>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

impl State {
    fn new(constant: &str) -> Self {
        let builder = Metrics::builder().service(constant, "fuzz").mount::<TextMetrics>();
        // Only what is looked at.
        let off = backend_metrics::catalog().map(|entry| entry.subsystem);
        let builder = off.filter(|name| *name != "process").fold(builder, Builder::without);
        let builder = builder.constant_label("constant", constant).cap_of::<Pair>(VALUES);
        let metrics = builder.build().expect("the builder's rules are kept");
        Self { metrics, constant: constant.to_owned(), counts: BTreeMap::new() }
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(128)].to_owned()
}

fuzz_target!(|pairs: Vec<(&str, &str)>| {
    let mut state = STATE.lock().unwrap();
    let room = state.as_ref().is_some_and(|state| state.counts.len() + 8 < VALUES);
    if !room {
        *state = Some(State::new(pairs.first().map_or("", |pair| pair.0)));
    }
    let state = state.as_mut().expect("it was made above");
    let texts = state.metrics.mounted::<TextMetrics>().expect("it is mounted");
    for pair in pairs.into_iter().take(8) {
        texts.things.get(texts.pairs.get(pair)).inc();
        *state.counts.entry((cut(pair.0), cut(pair.1))).or_default() += 1;
    }
    for format in [Format::OpenMetrics, Format::Text] {
        let text = state.metrics.encode(format);
        let read = parse(&text, format).unwrap_or_else(|broken| panic!("{broken}\n{text}"));
        let lines = read.samples().filter(|sample| sample.name == "texts_things_total");
        let found: BTreeMap<_, u64> = lines
            .map(|sample| {
                let values: Vec<&str> = sample.labels.iter().map(|label| &*label.1).collect();
                let [constant, one, two] = values[..] else { panic!("{sample:?}") };
                assert_eq!(constant, state.constant);
                ((one.to_owned(), two.to_owned()), sample.value.parse().expect("a count"))
            })
            .collect();
        assert_eq!(found, state.counts);
        assert_eq!(read.values_of("backend_service_info", "version"), [&*state.constant]);
    }
});
