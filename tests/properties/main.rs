//! Whatever is recorded, in whatever order, on whatever threads: what is exposed is what a plain model that
//! recounts everything comes to.
//!
//! A case is a random setup and a random sequence of steps; what fails is shrunk to the steps that it takes.
//! An instance is never freed, so a process is good for some thousand cases. A longer run is several
//! processes, each with another seed:
//!
//! ```text
//! PROPTEST_CASES=1000 PROPTEST_RNG_SEED=7 cargo test --all-features --test properties
//! ```

#![expect(clippy::cast_precision_loss, reason = "levels are documented to be exact up to 2^53")]

mod arguments;
mod contract;
mod derived;
mod exchange;
#[path = "../common/exposition.rs"]
mod exposition;
mod guards;
mod helpers;
mod layer;
mod model;
mod observed;
#[path = "../middleware/scripted.rs"]
#[allow(dead_code, reason = "shared with the tests of the layers")]
mod scripted;
#[path = "../drive/source.rs"]
#[allow(dead_code, reason = "shared with the tests of the helpers")]
mod source;
#[path = "../common/unready.rs"]
mod unready;
mod world;

use std::{cell::RefCell, collections::BTreeSet, env, sync::Arc, time::Duration};

use proptest::{
    bool::weighted,
    collection,
    prelude::any,
    prop_oneof,
    sample::{Index, select, subsequence},
    strategy::{BoxedStrategy, Strategy, Union},
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};

use contract::{FAMILIES, subsystems};
use model::Setup;
use world::{Event, Scrape, Step, World};

/// Cases of a run that is not told how many.
const CASES: u32 = 120;

/// A run is the same each time, unless a seed or a number of cases is given.
fn config() -> Config {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_231_115);
    }
    config
}

fn setup() -> impl Strategy<Value = Setup> {
    let labels = [("region", "mumbai"), ("desk", "\"a\\b\nc\"")];
    let constant_labels = subsequence(labels.to_vec(), 0..=2);
    // At times all of them, mostly a few.
    let off =
        prop_oneof![4 => subsequence(subsystems(), 0..3), 1 => subsequence(subsystems(), 0..=18)];
    // Any time of a trading day, midnight near by.
    let made = 1_700_000_000..1_700_100_000_u64;
    (constant_labels, off, 1..6_usize, made).prop_map(|(constant_labels, off, cap, made)| Setup {
        constant_labels,
        off,
        cap,
        made: Duration::from_secs(made),
    })
}

/// The steps of a case: of all helpers, or of those of one subsystem, which meet more often then.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let files = source::helpers_and_files();
    let of_all = step(|_| true);
    let subsystems: BTreeSet<_> = files.values().cloned().collect();
    let of_one = subsystems.iter().map(|file| step(|helper| files[helper] == *file));
    let of_one = Union::new(of_one.map(|step| collection::vec(step, 0..120)));
    prop_oneof![collection::vec(of_all, 0..120), of_one]
}

/// A step, with these helpers.
fn step(are: impl Fn(&str) -> bool) -> BoxedStrategy<Step> {
    let calls = helpers::all().into_iter().filter(|(helper, _)| are(helper));
    let starts = guards::all().into_iter().filter(|starter| are(starter.helper));
    let calls = calls.map(|(_, random)| (12, random.prop_map(Event::Calls).boxed()));
    let starts = starts.map(|starter| (20, starter.random.prop_map(Event::Starts).boxed()));
    let helpers: Vec<_> = calls.chain(starts).collect();
    // Some of them as long as the windows are, or their slices.
    let windows = [20, 60, 240, 280, 300, 840, 900, 3_540, 3_600];
    let passes = prop_oneof![
        3 => (0..2_000_u64).prop_map(Duration::from_millis),
        3 => select(windows.to_vec()).prop_map(Duration::from_secs),
        1 => (0..400_u64).prop_map(Duration::from_secs),
        1 => (0..90_000_u64).prop_map(Duration::from_secs),
    ];
    let event = prop_oneof![
        18 => Union::new_weighted(helpers),
        9 => any::<Index>().prop_map(Event::Goes),
        3 => layer::Sent::random().prop_map(|sent| Event::Sends(Arc::new(sent))),
        3 => passes.prop_map(Event::Passes),
        1 => select(Scrape::ALL).prop_map(Event::Scrapes),
    ];
    (event, weighted(0.2)).prop_map(|(event, elsewhere)| Step { event, elsewhere }).boxed()
}

/// A case as a failure shows it, a step a line.
fn show(setup: &Setup, steps: &[Step]) -> String {
    let lines = steps.iter().map(|Step { event, elsewhere }| {
        format!("{event:?}{}", if *elsewhere { " on another thread" } else { "" })
    });
    [format!("{setup:?}")].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_exposed_is_what_was_recorded() {
    let cases = (setup(), steps());
    let result = TestRunner::new(config()).run(&cases, |(setup, steps)| {
        let mut world = World::new(setup);
        for step in &steps {
            world.take(step).map_err(TestCaseError::fail)?;
        }
        for scrape in Scrape::ALL {
            world.compare(*scrape).map_err(TestCaseError::fail)?;
        }
        world.end();
        world.compare(Scrape::ALL[0]).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, (setup, steps))) => {
            panic!("{why}\nwhat it takes:\n{}", show(&setup, &steps))
        }
        Err(abort) => panic!("{abort}"),
    }
}

#[test]
fn every_helper_and_every_method_of_a_guard_is_drawn() {
    let starters = guards::all();
    let helpers = helpers::all().into_iter().map(|(name, _)| name);
    let helpers: BTreeSet<_> =
        helpers.chain(starters.iter().map(|starter| starter.helper)).map(str::to_owned).collect();
    assert_eq!(
        helpers.symmetric_difference(&source::helpers()).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not drawn, or not found in the source"
    );

    let drawn: BTreeSet<_> = starters
        .iter()
        .flat_map(|starter| {
            starter.methods.iter().map(|method| format!("{}::{method}", starter.guard))
        })
        .collect();
    // What only tells something.
    let told = ["HttpRequestGuard::metrics", "HttpRequestGuard::status"];
    let methods = source::guard_methods().into_iter();
    let methods = methods.map(|method| format!("{}::{}", method.guard, method.name));
    let methods: BTreeSet<_> = methods.filter(|method| !told.contains(&&**method)).collect();
    assert_eq!(
        drawn.symmetric_difference(&methods).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not drawn, or not found in the source"
    );
}

#[test]
fn every_family_is_moved() {
    let moved = RefCell::new(BTreeSet::new());
    let config = Config { cases: 50, ..config() };
    let cases = collection::vec(step(|_| true), 150);
    let setup = Setup { constant_labels: vec![], off: vec![], cap: 3, made: Duration::ZERO };
    let result = TestRunner::new(config).run(&cases, |steps| {
        let mut world = World::new(setup.clone());
        for step in steps {
            // What it compares is for the other test.
            _ = world.take(&step);
        }
        moved.borrow_mut().extend(world.model.moved);
        Ok(())
    });
    assert!(result.is_ok());
    // What every scrape works out, from what it shows.
    moved.borrow_mut().insert("metrics_series");
    let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(
        moved.into_inner().symmetric_difference(&names).collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
    // The model knows all that there is.
    let catalog: BTreeSet<_> = backend_metrics::catalog().map(|entry| entry.family.name).collect();
    assert_eq!(catalog.symmetric_difference(&names).collect::<Vec<_>>(), Vec::<&&str>::new());
}
