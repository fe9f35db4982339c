//! What a helper is to the test: a call with random arguments, and what the model makes of it.

use std::{fmt, sync::Arc};

use backend_metrics::Metrics;
use proptest::strategy::BoxedStrategy;

use crate::model::Model;

mod orders;
mod service;
mod storage;
mod trading;

/// A call of a helper.
pub(crate) trait Call: fmt::Debug + Send + Sync {
    /// Makes the call.
    fn make(&self, metrics: Metrics);

    /// Tells the model.
    fn tell(&self, model: &mut Model);
}

/// A helper: its name, and how to draw a call of it.
pub(crate) type Helper = (&'static str, BoxedStrategy<Arc<dyn Call>>);

/// Every helper that returns no guard.
pub(crate) fn all() -> Vec<Helper> {
    [orders::all(), service::all(), storage::all(), trading::all()].into_iter().flatten().collect()
}

/// Declares helpers with their arguments, each with what it does to the model `$m`.
///
/// Each is a method of the model as well, so that guards and other helpers can say that they do the same.
macro_rules! helpers {
    (for $m:ident: $(
        $(#[$attribute:meta])*
        fn $helper:ident($($argument:ident: $Argument:ty),*) $body:block
    )+) => {
        impl $crate::model::Model {
            $($(#[$attribute])* pub(crate) fn $helper(&mut self, $($argument: $Argument),*) {
                let $m = self;
                $body
            })+
        }

        /// The helpers of this file.
        pub(super) fn all() -> Vec<$crate::helpers::Helper> {
            use proptest::{prelude::Just, strategy::Strategy as _};

            vec![$(
                $(#[$attribute])*
                {
                    #[derive(Clone, Debug)]
                    #[allow(non_camel_case_types, reason = "a failure shows the helper as it is called")]
                    struct $helper { $($argument: $Argument),* }

                    impl $crate::helpers::Call for $helper {
                        fn make(&self, metrics: backend_metrics::Metrics) {
                            metrics.$helper($($crate::arguments::Argument::give(&self.$argument)),*);
                        }

                        fn tell(&self, model: &mut $crate::model::Model) {
                            model.$helper($(self.$argument.clone()),*);
                        }
                    }

                    let random = (Just(()), $(<$Argument as $crate::arguments::Argument>::random(),)*);
                    let call = |((), $($argument,)*)| -> std::sync::Arc<dyn $crate::helpers::Call> {
                        std::sync::Arc::new($helper { $($argument),* })
                    };
                    (stringify!($helper), random.prop_map(call).boxed())
                },
            )+]
        }
    };
}
pub(crate) use helpers;
