//! What a guard is to the test: the helper that starts it, what is done to it, how it ends, and what the
//! model makes of all that.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use backend_metrics::Metrics;
use proptest::strategy::BoxedStrategy;

use crate::model::Model;

mod requests;
mod work;

/// The start of a guard.
pub(crate) trait Start: fmt::Debug + Send + Sync {
    /// Starts it, and tells the model.
    fn start(&self, metrics: Metrics, model: &mut Model) -> Box<dyn Live>;
}

/// A guard that is under way, with what is still to be done to it.
pub(crate) trait Live: Send {
    /// Does the next of it and tells the model; gives the guard unless it has ended.
    fn go(self: Box<Self>, model: &mut Model) -> Option<Box<dyn Live>>;
}

/// A helper that starts a guard: its name, the guard's methods, and how to draw a start of it.
pub(crate) struct Starter {
    pub(crate) helper: &'static str,
    pub(crate) guard: &'static str,
    pub(crate) methods: Vec<&'static str>,
    pub(crate) random: BoxedStrategy<Arc<dyn Start>>,
}

/// Every helper that returns a guard.
pub(crate) fn all() -> Vec<Starter> {
    [requests::all(), work::all()].into_iter().flatten().collect()
}

/// Drops a guard as a panic does, but for the message.
pub(crate) fn panic_with(guard: impl Any) {
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = guard;
        resume_unwind(Box::new("on purpose"));
    }));
    panicked.unwrap_err();
}

/// Declares guards, each as a module. `$m` is the model, `$t` what was kept of the guard, `$took` the time it
/// took.
///
/// - `keeps`: what is kept beside the arguments, with its first value;
/// - `begins`: what the start does to the model;
/// - `uses`: methods that give the guard back (`chain`) or borrow it (`note`);
/// - `ends`: how it ends, each as a value that `then` makes the record with.
macro_rules! guards {
    (for $m:ident, $t:ident, $took:ident: $(
        mod $module:ident: $Guard:ident = $start:ident($($argument:ident: $Argument:ty),*)
        keeps { $($note:ident: $Note:ty = $first:expr),* $(,)? }
        begins $begins:block
        uses {$(
            $how:ident $use:ident($($taken:ident: $Taken:ty),*) $(via |$used:ident| $via:expr)? => $tell:block
        )*}
        ends($outcome:ident: $Outcome:ty, dropped: $dropped:expr, panics: $panics:expr) {
            $($end:ident($($given:ident: $Given:ty),*) $(via |$ended:ident| $becomes:expr)? => $came:expr,)*
        } then $then:block
    )+) => {
        /// The helpers of this file.
        pub(super) fn all() -> Vec<$crate::guards::Starter> {
            vec![$($module::starter()),+]
        }

        $(
            #[allow(unreachable_code, unused_variables, unused_mut, clippy::needless_pass_by_value, reason = "not every guard uses all")]
            mod $module {
                use std::{collections::VecDeque, sync::Arc, time::Duration};

                use proptest::{collection, prelude::Just, strategy::{BoxedStrategy, Strategy, Union}};

                #[allow(unused_imports, reason = "not every guard uses all")]
                use super::*;
                use crate::{arguments::Argument, guards::{Live, Start, Starter, panic_with}, model::Model};

                /// What is done to the guard.
                #[derive(Clone, Debug)]
                #[allow(non_camel_case_types, reason = "a failure shows the methods as they are called")]
                enum Use { $($use { $($taken: $Taken),* }),* }

                /// How it ends.
                #[derive(Clone, Debug)]
                #[allow(non_camel_case_types, reason = "a failure shows the methods as they are called")]
                enum End { $($end { $($given: $Given),* },)* Dropped, Panics }

                /// What is done to it, and how it ends.
                #[derive(Clone, Debug)]
                pub(super) struct Life { uses: VecDeque<Use>, end: End }

                impl Argument for Life {
                    type Given<'a> = Self;

                    fn random() -> BoxedStrategy<Self> {
                        let uses: Vec<BoxedStrategy<Use>> = vec![$({
                            let random = (Just(()), $(<$Taken as Argument>::random(),)*);
                            random.prop_map(|((), $($taken,)*)| Use::$use { $($taken),* }).boxed()
                        }),*];
                        let uses = if uses.is_empty() {
                            Just(VecDeque::new()).boxed()
                        } else {
                            collection::vec_deque(Union::new(uses), 0..5).boxed()
                        };
                        let end = Union::new([Just(End::Dropped).boxed(), Just(End::Panics).boxed(), $({
                            let random = (Just(()), $(<$Given as Argument>::random(),)*);
                            random.prop_map(|((), $($given,)*)| End::$end { $($given),* }).boxed()
                        }),*]);
                        (uses, end).prop_map(|(uses, end)| Self { uses, end }).boxed()
                    }

                    fn give(&self) -> Self { self.clone() }
                }

                #[derive(Clone, Debug)]
                #[allow(non_camel_case_types, reason = "a failure shows the helper as it is called")]
                struct $start { $($argument: $Argument,)* life: Life }

                impl Start for $start {
                    fn start(&self, metrics: backend_metrics::Metrics, $m: &mut Model) -> Box<dyn Live> {
                        let guard = metrics.$start($(Argument::give(&self.$argument)),*);
                        let Self { $($argument,)* life } = self.clone();
                        $(let $note: $Note = $first;)*
                        let told = Told { began: $m.uptime, $($argument,)* $($note,)* };
                        let $t = &told;
                        $begins
                        Box::new(Running { guard, told, life })
                    }
                }

                /// What is kept of it.
                #[allow(dead_code, reason = "not every argument matters later")]
                pub(super) struct Told {
                    pub(super) began: Duration,
                    $(pub(super) $argument: $Argument,)*
                    $(pub(super) $note: $Note,)*
                }

                pub(super) struct Running {
                    pub(super) guard: $Guard,
                    pub(super) told: Told,
                    pub(super) life: Life,
                }

                impl Live for Running {
                    fn go(self: Box<Self>, $m: &mut Model) -> Option<Box<dyn Live>> {
                        let Self { mut guard, mut told, mut life } = *self;
                        let $t = &mut told;
                        if let Some(next) = life.uses.pop_front() {
                            let guard = match next.clone() {
                                $(Use::$use { $($taken),* } =>
                                    guards!(@$how guard, $use($($taken),*) $(via |$used| $via)?),)*
                            };
                            match next { $(Use::$use { $($taken),* } => $tell)* }
                            return Some(Box::new(Self { guard, told, life }));
                        }
                        let after: Option<Box<dyn Live>> = match life.end.clone() {
                            $(End::$end { $($given),* } =>
                                guards!(@end guard, $end($($given),*) $(via |$ended| $becomes)?),)*
                            End::Dropped => { drop(guard); None }
                            End::Panics => { panic_with(guard); None }
                        };
                        let $took = $m.since($t.began);
                        let $outcome: $Outcome = match life.end {
                            $(End::$end { $($given),* } => $came,)*
                            End::Dropped => $dropped,
                            End::Panics => $panics,
                        };
                        $then
                        after
                    }
                }

                pub(super) fn starter() -> Starter {
                    let random = (Life::random(), $(<$Argument as Argument>::random(),)*);
                    let start = |(life, $($argument,)*)| -> Arc<dyn Start> {
                        Arc::new($start { $($argument,)* life })
                    };
                    Starter {
                        helper: stringify!($start),
                        guard: stringify!($Guard),
                        methods: vec![$(stringify!($use),)* $(stringify!($end),)*],
                        random: random.prop_map(start).boxed(),
                    }
                }
            }
        )+
    };
    (@chain $guard:ident, $use:ident($($taken:ident),*)) => {
        $guard.$use($(Argument::give(&$taken)),*)
    };
    (@note $guard:ident, $use:ident($($taken:ident),*)) => {{
        $guard.$use($(Argument::give(&$taken)),*);
        $guard
    }};
    (@note $guard:ident, $use:ident($($taken:ident),*) via |$used:ident| $via:expr) => {{
        let mut $used = $guard;
        $via;
        $used
    }};
    (@end $guard:ident, $end:ident($($given:ident),*)) => {{
        $guard.$end($(Argument::give(&$given)),*);
        None
    }};
    (@end $guard:ident, $end:ident($($given:ident),*) via |$ended:ident| $becomes:expr) => {{
        let mut $ended = $guard;
        $becomes
    }};
}
pub(crate) use guards;
