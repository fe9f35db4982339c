//! The macros that declare a subsystem. Each takes Rust-shaped input; logic is in `const fn` and traits.

/// Declares a subsystem: a struct whose fields are families.
///
/// - The literal after the struct's name is the subsystem's name.
/// - The first line of a field's doc comment is its `HELP` text, the literal is the name as Prometheus
///   shows it, and `in` gives the upper bounds of a histogram.
/// - Flags in brackets before `in`: `shared` (every replica reports the same number), `shared_value("x")`
///   (only the series with that label value), `specified_name` (the name was fixed elsewhere, and a gauge
///   may end in `_total`).
/// - `with { .. }` holds fields that are no families, such as a [`Domain`](crate::Domain) of open labels.
/// - `on_scrape = path` names a method that is called before every scrape, on a thread of its own. If it
///   panics, or takes longer than the [`Builder::collect_timeout`](crate::Builder::collect_timeout), the scrape
///   goes on, and what was set before stays: the library cannot know which gauges the method sets. It is counted in
///   `metrics_callback_failures_total{callback="subsystem:<name>"}`, and in `application_errors_total` with the
///   `error_type` `collector_panic` or `collector_timeout`. A level that the method could not read is better absent
///   than stale: have it call `clear` on the gauge.
///
/// A broken rule is a compile error under the field's name:
///
/// ```compile_fail
/// backend_metrics::families! {
///     /// A counter without `_total`.
///     pub struct DeskMetrics = "desk" {
///         /// Quotes sent
///         pub quotes: backend_metrics::Counter = "desk_quotes",
///     }
/// }
/// ```
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use backend_metrics::{CounterFamily, HistogramFamily, Metrics, families, label_values};
///
/// label_values! {
///     /// Where a quote goes.
///     pub enum Venue = "venue" {
///         /// The National Stock Exchange.
///         Nse = "nse",
///         /// The Bombay Stock Exchange.
///         Bse = "bse",
///     }
/// }
///
/// families! {
///     /// The quotes of the desk.
///     pub struct DeskMetrics = "desk" {
///         /// Quotes sent
///         pub quotes: CounterFamily<Venue> = "desk_quotes_total",
///
///         /// Time from the tick to the quote
///         pub quote_duration: HistogramFamily<Venue> = "desk_quote_duration_seconds" in &[0.001, 0.01, 0.1],
///     }
/// }
///
/// let metrics = Metrics::builder().mount::<DeskMetrics>().build()?;
/// let desk = metrics.mounted::<DeskMetrics>().expect("mounted above");
/// desk.quotes.get(Venue::Nse).inc();
/// desk.quote_duration.get(Venue::Nse).observe(Duration::from_millis(3));
/// assert!(metrics.to_text().contains("desk_quotes_total{venue=\"nse\"} 1\n"));
/// # Ok::<(), backend_metrics::BuildError>(())
/// ```
#[macro_export]
macro_rules! families {
    (
        $(#[$meta:meta])*
        pub struct $Subsystem:ident = $subsystem:literal {
            $(with {
                $($(#[$part_meta:meta])* $part_vis:vis $part:ident: $Part:ty,)+
            })?
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $Family:ty =
                    $name:literal $([$($flag:ident $(($value:literal))?),+])? $(in $buckets:expr)?,
            )+
        }
        $(on_scrape = $on_scrape:path)?
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        #[non_exhaustive]
        pub struct $Subsystem {
            $($($(#[$part_meta])* $part_vis $part: $Part,)+)?
            $(
                $(#[doc = $doc])*
                #[doc = concat!(
                    "\n\n`", $name, "`", $(" with buckets `", stringify!($buckets), "`",)? "."
                )]
                pub $field: $Family,
            )+
        }

        impl $crate::Subsystem for $Subsystem {
            const NAME: &'static str = $subsystem;

            // Each block checks its definition in a constant named after the field, so that a broken rule is
            // reported under that name, once, and in `cargo check`.
            const DEFINITIONS: &'static [$crate::Definition] = &[
                $({
                    const DEFINITION: $crate::Definition = $crate::Definition::new(
                        $name,
                        concat!($($doc, "\n"),*),
                        <$Family as $crate::FamilyType>::KIND,
                        <$Family as $crate::FamilyType>::LABELS,
                        <$Family as $crate::FamilyType>::UNIT,
                    )
                    $(.with_buckets({
                        const BUCKETS: &$crate::Buckets =
                            &$crate::Buckets::new($buckets, <$Family as $crate::FamilyType>::SCALE);
                        BUCKETS
                    }))?
                    $($(.$flag($($value)?))+)?;
                    #[allow(dead_code, non_upper_case_globals, reason = "a check, named after the field")]
                    const $field: $crate::Definition = DEFINITION.checked();
                    DEFINITION
                },)+
            ];

            #[allow(
                dead_code,
                non_camel_case_types,
                non_upper_case_globals,
                reason = "checks, named after the fields"
            )]
            fn register(registrar: &mut $crate::Registrar) -> Self {
                {
                    enum __Position { $($field),+ }
                    $(const $field: () = $crate::check_names(
                        <$Subsystem as $crate::Subsystem>::DEFINITIONS,
                        __Position::$field as usize,
                    );)+
                }
                $($({
                    const $part: () = $crate::check_part(<$Part as $crate::Part>::BROKEN_RULE);
                })+)?
                $($(let $part = <$Part as $crate::Part>::register(registrar);)+)?
                let mut definitions = <Self as $crate::Subsystem>::DEFINITIONS.iter();
                Self {
                    $($($part,)+)?
                    $($field: <$Family as $crate::FamilyType>::register(
                        $crate::next_definition(&mut definitions),
                        registrar,
                    ),)+
                }
            }

            $(
                const HAS_ON_SCRAPE: bool = true;

                fn on_scrape(&self, now: &$crate::Now) {
                    $on_scrape(self, now);
                }
            )?
        }
    };
}

/// Declares a closed label: an enum with the exposed text beside each variant.
///
/// The literal after the enum's name is the name of the label, the same in every family that has it. The
/// enum is a label set of its own; a tuple of enums is a label set of several labels.
///
/// ```
/// backend_metrics::label_values! {
///     /// Which way a quote goes.
///     pub enum Direction = "direction" {
///         /// To the exchange.
///         Outbound = "outbound",
///         /// From the exchange.
///         Inbound = "inbound",
///     }
/// }
/// assert_eq!(Direction::Outbound.as_str(), "outbound");
/// ```
///
/// Two variants with the same text do not compile:
///
/// ```compile_fail
/// backend_metrics::label_values! {
///     /// Twice the same.
///     pub enum Direction = "direction" {
///         /// One.
///         Outbound = "out",
///         /// Another.
///         Out = "out",
///     }
/// }
/// ```
#[macro_export]
macro_rules! label_values {
    (
        $(#[$meta:meta])*
        pub enum $Value:ident = $label:literal {
            $($(#[$variant_meta:meta])* $Variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[doc = concat!("\n\nThe label `", $label, "`.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Value {
            $(
                $(#[$variant_meta])*
                #[doc = concat!("\n\nExposed as `", $text, "`.")]
                $Variant,
            )+
        }

        impl $Value {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// The value as it is exposed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $text,)+
                }
            }
        }

        #[diagnostic::do_not_recommend]
        impl $crate::LabelSet for $Value {
            // Each check is named after what it looks at, so that a broken rule is reported under that name.
            #[allow(dead_code, non_upper_case_globals, reason = "checks, named after the variants")]
            const LIST: $crate::Labels = {
                const VALUES: &[&str] = &[$($text),+];
                const $Value: () = $crate::check_label_name($label);
                $(const $Variant: () = $crate::check_label_value(VALUES, $Value::$Variant as usize);)+
                $crate::Labels::new(&[$crate::Label::new($label, $crate::ValueSet::Closed(VALUES))])
            };
            const COUNT: usize = [$($text),+].len();

            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// Declares a domain of open labels: one label or two whose values are any text, bounded by a cap.
///
/// The cap bounds the distinct values over the whole life of the process: those of counters and histograms are never
/// forgotten, and a removable domain takes 64 times its cap of distinct values. See [`Domain`](crate::Domain) for what
/// that means for the choice of a label.
///
/// Families whose label set holds [`Open`](crate::Open) of the same domain share its values: one look-up
/// in the [`Domain`](crate::Domain) finds the cells of all of them.
///
/// ```
/// use backend_metrics::{CounterFamily, Domain, Metrics, Open, families, open_labels};
///
/// open_labels! {
///     /// The book a trade belongs to.
///     pub struct Book(book);
/// }
///
/// families! {
///     /// Trades by book.
///     pub struct BookMetrics = "books" {
///         with {
///             /// The books seen so far.
///             pub books: Domain<Book>,
///         }
///         /// Trades booked
///         pub trades: CounterFamily<Open<Book>> = "book_trades_total",
///     }
/// }
///
/// let metrics = Metrics::builder().mount::<BookMetrics>().cap_of::<Book>(50).build()?;
/// let books = metrics.mounted::<BookMetrics>().expect("mounted above");
/// books.trades.get(books.books.get("volatility")).inc();
/// assert!(metrics.to_text().contains("book_trades_total{book=\"volatility\"} 1\n"));
/// # Ok::<(), backend_metrics::BuildError>(())
/// ```
///
/// With the flag `[removable]` behind the labels, the series of values that have ended can be taken out by
/// [`Domain::remove`](crate::Domain::remove). Then every family of the domain is a
/// [`GaugeFamily`](crate::GaugeFamily) or a [`LateGaugeFamily`](crate::LateGaugeFamily); a count that went and came
/// back would look like a restart.
///
/// ```compile_fail
/// use backend_metrics::{CounterFamily, Open, families, open_labels};
///
/// open_labels! {
///     /// A session of the terminal.
///     pub struct Session(session) [removable];
/// }
///
/// families! {
///     /// Sessions of the terminal.
///     pub struct TerminalMetrics = "terminal" {
///         /// Windows that a session opened
///         pub windows: CounterFamily<Open<Session>> = "terminal_windows_total",
///     }
/// }
/// ```
#[macro_export]
macro_rules! open_labels {
    ($(#[$meta:meta])* pub struct $Domain:ident($label:ident) $([$flag:ident])?;) => {
        $crate::open_labels!(
            @domain [$(#[$meta])*] $Domain [$label] [$($flag)?] &'a str, |values| (values, "")
        );
    };
    ($(#[$meta:meta])* pub struct $Domain:ident($first:ident, $second:ident) $([$flag:ident])?;) => {
        $crate::open_labels!(
            @domain [$(#[$meta])*] $Domain [$first, $second] [$($flag)?] (&'a str, &'a str), |values| values
        );
    };
    (@removable $Domain:ident) => {
        impl $crate::RemovableValues for $Domain {}
    };
    (
        @domain [$(#[$meta:meta])*] $Domain:ident [$($label:ident),+] [$($flag:ident)?] $Values:ty,
        |$values:ident| $pair:expr
    ) => {
        $(#[$meta])*
        #[doc = concat!("\n\nThe open label", $(" `", stringify!($label), "`",)+ ".")]
        #[derive(Clone, Copy, Debug)]
        pub enum $Domain {}

        impl $crate::OpenLabels for $Domain {
            const NAMES: &'static [&'static str] = &[$(stringify!($label)),+];
            #[allow(dead_code, non_upper_case_globals, reason = "checks, named after the labels")]
            const LIST: $crate::Labels = {
                $(const $label: () = $crate::check_label_name(stringify!($label));)+
                $crate::Labels::new(&[
                    $($crate::Label::new(stringify!($label), $crate::ValueSet::Open)),+
                ])$(.$flag())?
            };
        }

        $($crate::open_labels!(@$flag $Domain);)?

        impl $crate::OpenValues for $Domain {
            type Values<'a> = $Values;

            #[inline]
            #[allow(clippy::elidable_lifetime_names, reason = "as the trait has it")]
            fn pair<'a>($values: Self::Values<'a>) -> (&'a str, &'a str) {
                $pair
            }
        }
    };
}
