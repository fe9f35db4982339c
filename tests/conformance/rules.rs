//! The checklist.

use crate::{common::exposition::Exposition, found};

/// A rule.
pub(crate) struct Rule {
    pub(crate) of: Of,
    /// As the specification has it, in short.
    pub(crate) says: &'static str,
    pub(crate) kept: Kept,
    /// What breaks it.
    pub(crate) broken: &'static [Broken],
}

/// Whose rule it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    OpenMetrics,
    /// Of Prometheus text 0.0.4.
    Text,
    Both,
}

/// How it is known that a rule is kept.
pub(crate) enum Kept {
    /// The reader says this of what breaks it.
    Read(&'static str),
    /// What was read breaks it nowhere, or here.
    Found(fn(&str, &Exposition) -> Option<String>),
}

/// An exposition without `# EOF`.
#[derive(Clone, Copy)]
pub(crate) enum Broken {
    Whole(&'static str),
    /// The lines of the gauge `a`.
    A(&'static str),
    /// The lines of the counter `b`.
    B(&'static str),
    /// The lines of the histogram `h`.
    H(&'static str),
}

impl Broken {
    pub(crate) fn text(self) -> String {
        match self {
            Whole(text) => text.to_owned(),
            A(lines) => format!("# HELP a A\n# TYPE a gauge\n{lines}\n"),
            B(lines) => format!("# HELP b B\n# TYPE b counter\n{lines}\n"),
            H(lines) => format!("# HELP h H\n# TYPE h histogram\n{lines}\n"),
        }
    }
}

use Broken::{A, B, H, Whole};
use Kept::{Found, Read};
use Of::{Both, OpenMetrics, Text};

const fn rule(of: Of, says: &'static str, kept: Kept, broken: &'static [Broken]) -> Rule {
    Rule { of, says, kept, broken }
}

/// More than an exemplar has room for.
const LONG: &str = concat!(
    "b_total 1 # {trace_id=\"0123456789012345678901234567890123456789012345678901234567890",
    "012345678901234567890123456789012345678901234567890123456789\"} 1 1.000"
);

/// Every rule, in the order of the specification.
pub(crate) const RULES: &[Rule] = &[
    // Data types.
    rule(Both, "values are floating points or integers", Read("written as one"), &[A("a one")]),
    rule(
        Both,
        "a label's first character is no underscore",
        Found(found::labels),
        &[A(r#"a{_x="1"} 1"#)],
    ),
    rule(
        Both,
        "label names follow the ABNF",
        Read("name of a label"),
        &[A(r#"a{x-y="1"} 1"#), A(r#"a{x:y="1"} 1"#), A(r#"a{="1"} 1"#), A(r#"a{__x="1"} 1"#)],
    ),
    rule(Both, "label names are unique", Read("differ"), &[A(r#"a{x="1",x="2"} 1"#)]),
    rule(
        Both,
        "every metric of a family has a label set of its own",
        Read("stands once"),
        &[A("a 1\na 2"), A("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1")],
    ),
    rule(
        Both,
        "an empty label value is a label that is not there",
        Found(found::without_empty),
        &[A("a 1\na{x=\"\"} 2"), A("a{x=\"\",y=\"1\"} 1\na{y=\"1\"} 2")],
    ),
    rule(
        Both,
        "the metrics of a family have the same label names",
        Found(found::same_labels),
        &[A("a{x=\"1\"} 1\na{y=\"1\"} 2")],
    ),
    rule(Both, "there are no timestamps", Read("written as one"), &[A("a 1 1520879607.789")]),
    // Exemplars.
    rule(OpenMetrics, "an exemplar has 128 characters", Read("128 characters"), &[B(LONG)]),
    rule(
        OpenMetrics,
        "counters and buckets have exemplars, and they alone",
        Read("have exemplars"),
        &[
            A(r#"a 1 # {x="1"} 1 1.000"#),
            H("h_bucket{le=\"+Inf\"} 1\nh_sum 1 # {x=\"1\"} 1 1.000\nh_count 1"),
        ],
    ),
    rule(
        OpenMetrics,
        "a sample has one exemplar at most",
        Read("timestamp is in seconds"),
        &[B(r#"b_total 1 # {x="1"} 1 1.000 # {x="2"} 1 1.000"#)],
    ),
    rule(
        OpenMetrics,
        "the value of an exemplar is in its bucket",
        Read("lies in its bucket"),
        &[H(
            "h_bucket{le=\"1.0\"} 1 # {x=\"1\"} 1.5 1.000\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1",
        )],
    ),
    rule(
        Text,
        "text 0.0.4 has no exemplars",
        Read("no exemplars"),
        &[Whole("# HELP b_total B\n# TYPE b_total counter\nb_total 1 # {x=\"1\"} 1 1.000\n")],
    ),
    // Families.
    rule(
        Both,
        "the name of a family is its own",
        Read("their own"),
        &[A("a 1\n# HELP a A\n# TYPE a gauge\na 2"), A("a 1\n# HELP a A\n# TYPE a histogram")],
    ),
    rule(
        Both,
        "names of families follow the ABNF",
        Read("name of a family"),
        &[
            Whole("# HELP a-b A\n# TYPE a-b gauge\na-b 1\n"),
            Whole("# HELP 1a A\n# TYPE 1a gauge\n1a 1\n"),
        ],
    ),
    rule(
        Both,
        "names are in snake_case; colons and a first underscore are reserved",
        Found(found::names),
        &[
            Whole("# HELP aB A\n# TYPE aB gauge\naB 1\n"),
            Whole("# HELP a:b A\n# TYPE a:b gauge\na:b 1\n"),
            Whole("# HELP _a A\n# TYPE _a gauge\n_a 1\n"),
        ],
    ),
    rule(
        OpenMetrics,
        "names of samples do not clash with those of another family",
        Read("their own"),
        &[
            B("b_total 1\n# HELP b_total B\n# TYPE b_total gauge\nb_total 1"),
            B("b_total 1\n# HELP b_created B\n# TYPE b_created gauge\nb_created 1"),
            Whole(
                "# HELP h_count H\n# TYPE h_count gauge\nh_count 1\n# HELP h H\n# TYPE h histogram\n",
            ),
            Whole("# HELP i_info I\n# TYPE i_info gauge\ni_info 1\n# HELP i I\n# TYPE i info\n"),
        ],
    ),
    rule(
        Both,
        "a type is one of those there are",
        Read("is known"),
        &[Whole("# HELP a A\n# TYPE a thing\na 1\n")],
    ),
    rule(
        OpenMetrics,
        "a unit is the suffix of its family's name",
        Read("ends in its unit"),
        &[A("# UNIT a seconds\na 1")],
    ),
    rule(
        OpenMetrics,
        "a unit that is known is given",
        Found(found::units),
        &[Whole("# HELP a_seconds A\n# TYPE a_seconds gauge\na_seconds 1\n")],
    ),
    rule(
        OpenMetrics,
        "an info has no unit",
        Read("an info has none"),
        &[Whole("# HELP i_b I\n# TYPE i_b info\n# UNIT i_b b\ni_b_info 1\n")],
    ),
    rule(
        Text,
        "text 0.0.4 has no UNIT",
        Read("no UNIT"),
        &[Whole("# HELP a_b A\n# TYPE a_b gauge\n# UNIT a_b b\na_b 1\n")],
    ),
    rule(
        Both,
        "a help is not empty",
        Found(found::helps),
        &[Whole("# HELP a \n# TYPE a gauge\na 1\n")],
    ),
    // Types.
    rule(OpenMetrics, "a counter's sample ends in _total", Read("its family's type"), &[B("b 1")]),
    rule(Text, "a counter's name ends in _total", Read("ends in _total"), &[B("b 1")]),
    rule(
        OpenMetrics,
        "a counter is neither NaN nor negative",
        Read("from 0 on"),
        &[B("b_total NaN"), B("b_total -1")],
    ),
    rule(
        OpenMetrics,
        "an info's sample ends in _info",
        Read("its family's type"),
        &[Whole("# HELP i I\n# TYPE i info\ni 1\n")],
    ),
    rule(
        OpenMetrics,
        "an info is 1",
        Read("an info is 1"),
        &[Whole("# HELP i I\n# TYPE i info\ni_info 2\n")],
    ),
    rule(
        Both,
        "a histogram has a bucket +Inf",
        Read("+Inf"),
        &[H("h_bucket{le=\"1.0\"} 1\nh_sum 1\nh_count 1")],
    ),
    rule(
        Both,
        "every bucket has a threshold",
        Read("they alone"),
        &[H("h_bucket 1\nh_sum 1\nh_count 1")],
    ),
    rule(
        Both,
        "buckets are cumulative",
        Read("cumulative"),
        &[H("h_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1")],
    ),
    rule(
        Both,
        "thresholds are in increasing order",
        Read("increase"),
        &[H("h_bucket{le=\"2.0\"} 1\nh_bucket{le=\"1.0\"} 1\nh_sum 1\nh_count 1")],
    ),
    rule(
        Both,
        "thresholds are unique",
        Read("stands once"),
        &[H("h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"1.0\"} 1\nh_sum 1\nh_count 1")],
    ),
    rule(
        Both,
        "there is no sum beside negative thresholds",
        Read("no sum"),
        &[H("h_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1")],
    ),
    rule(
        Both,
        "a sum is neither NaN nor negative",
        Read("from 0 on"),
        &[
            H("h_bucket{le=\"+Inf\"} 1\nh_sum NaN\nh_count 1"),
            H("h_bucket{le=\"+Inf\"} 1\nh_sum -1\nh_count 1"),
        ],
    ),
    rule(
        Both,
        "buckets are integers",
        Read("whole number"),
        &[H("h_bucket{le=\"+Inf\"} 1.5\nh_sum 1\nh_count 1.5")],
    ),
    rule(
        Both,
        "the count is that of the bucket +Inf",
        Read("of the last bucket"),
        &[H("h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2")],
    ),
    rule(
        Both,
        "where there is a sum there is a count",
        Read("after the buckets"),
        &[H("h_bucket{le=\"+Inf\"} 1\nh_sum 1")],
    ),
    rule(Both, "buckets alone have `le`", Read("they alone"), &[A(r#"a{le="1.0"} 1"#)]),
    rule(
        Both,
        "thresholds are canonical numbers",
        Found(found::thresholds),
        &[
            H("h_bucket{le=\"0.00001\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1"),
            H("h_bucket{le=\"1000000.0\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1"),
            H("h_bucket{le=\"1.50\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1"),
        ],
    ),
    rule(
        Both,
        "thresholds are floating-point numbers",
        Read("floating-point"),
        &[H("h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1")],
    ),
    rule(
        Both,
        "infinity is +Inf",
        Read("written as one"),
        &[A("a inf"), H("h_bucket{le=\"Inf\"} 1\nh_sum 1\nh_count 1")],
    ),
    // The text format.
    rule(
        Both,
        "there is no byte order marker",
        Read("of a sample is valid"),
        &[Whole("\u{feff}# HELP a A\n# TYPE a gauge\na 1\n")],
    ),
    rule(
        Both,
        "no line ends in a carriage return",
        Found(found::line_endings),
        &[Whole("# HELP a A\r\n# TYPE a gauge\na 1\n")],
    ),
    rule(Both, "the last line has an end", Read("has an end"), &[Whole("a 1")]),
    rule(Both, "there are no empty lines", Read("a number"), &[A("\na 1")]),
    rule(Both, "one space stands between parts", Read("written as one"), &[A("a  1")]),
    rule(Both, "label values are escaped", Read("has an end"), &[A("a{x=\"1} 1")]),
    rule(
        Both,
        "no other escapes are used",
        Read("escape is known"),
        &[A(r#"a{x="\t"} 1"#), Whole("# HELP a \\t\n# TYPE a gauge\na 1\n")],
    ),
    rule(
        OpenMetrics,
        "a help is escaped",
        Read("a quote is escaped"),
        &[Whole("# HELP a an \"A\"\n# TYPE a gauge\na 1\n")],
    ),
    rule(Both, "commas stand between labels", Read("a comma"), &[A(r#"a{x="1"y="2"} 1"#)]),
    rule(
        Both,
        "no braces are empty, and no comma is last",
        Read("a name and a value"),
        &[A("a{} 1"), A(r#"a{x="1",} 1"#)],
    ),
    rule(
        Both,
        "families are not interleaved",
        Read("of its family"),
        &[A("a 1\n# HELP c C\n# TYPE c gauge\nc 1\na{x=\"y\"} 1")],
    ),
    rule(
        Both,
        "metrics are not interleaved",
        Read("a sum and a count"),
        &[H("h_bucket{x=\"1\",le=\"+Inf\"} 1\nh_bucket{x=\"2\",le=\"+Inf\"} 1\nh_sum{x=\"1\"} 1")],
    ),
    rule(
        Both,
        "a histogram is buckets, sum, count",
        Read("after the buckets"),
        &[H("h_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 1")],
    ),
    rule(
        Both,
        "HELP stands before TYPE and the samples",
        Read("HELP comes before"),
        &[Whole("a 1\n"), Whole("# TYPE a gauge\na 1\n")],
    ),
    rule(
        Both,
        "TYPE stands before the samples",
        Read("TYPE comes before"),
        &[Whole("# HELP a A\na 1\n")],
    ),
    rule(Both, "there is one TYPE", Read("one TYPE"), &[A("# TYPE a gauge\na 1")]),
    rule(Both, "there is one HELP", Read("has a TYPE"), &[Whole("# HELP a A\n# HELP a A\n")]),
    rule(
        Both,
        "a family that is named has samples",
        Read("has samples"),
        &[Whole("# HELP a A\n# TYPE a gauge\n")],
    ),
    rule(Both, "no other line begins with #", Read("no comments"), &[A("# a comment\na 1")]),
    rule(OpenMetrics, "nothing follows # EOF", Read("nothing follows"), &[A("a 1\n# EOF\na 1")]),
    rule(Text, "text 0.0.4 has no # EOF", Read("# EOF"), &[A("a 1\n# EOF")]),
];
