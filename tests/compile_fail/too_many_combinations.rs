use backend_metrics::{CounterFamily, families, label_values};

label_values! {
    /// A label of twenty-two values.
    pub enum A = "a" {
        /// A value.
        V0 = "0",
        /// A value.
        V1 = "1",
        /// A value.
        V2 = "2",
        /// A value.
        V3 = "3",
        /// A value.
        V4 = "4",
        /// A value.
        V5 = "5",
        /// A value.
        V6 = "6",
        /// A value.
        V7 = "7",
        /// A value.
        V8 = "8",
        /// A value.
        V9 = "9",
        /// A value.
        V10 = "10",
        /// A value.
        V11 = "11",
        /// A value.
        V12 = "12",
        /// A value.
        V13 = "13",
        /// A value.
        V14 = "14",
        /// A value.
        V15 = "15",
        /// A value.
        V16 = "16",
        /// A value.
        V17 = "17",
        /// A value.
        V18 = "18",
        /// A value.
        V19 = "19",
        /// A value.
        V20 = "20",
        /// A value.
        V21 = "21",
    }
}

label_values! {
    /// A label of twenty-two values.
    pub enum B = "b" {
        /// A value.
        V0 = "0",
        /// A value.
        V1 = "1",
        /// A value.
        V2 = "2",
        /// A value.
        V3 = "3",
        /// A value.
        V4 = "4",
        /// A value.
        V5 = "5",
        /// A value.
        V6 = "6",
        /// A value.
        V7 = "7",
        /// A value.
        V8 = "8",
        /// A value.
        V9 = "9",
        /// A value.
        V10 = "10",
        /// A value.
        V11 = "11",
        /// A value.
        V12 = "12",
        /// A value.
        V13 = "13",
        /// A value.
        V14 = "14",
        /// A value.
        V15 = "15",
        /// A value.
        V16 = "16",
        /// A value.
        V17 = "17",
        /// A value.
        V18 = "18",
        /// A value.
        V19 = "19",
        /// A value.
        V20 = "20",
        /// A value.
        V21 = "21",
    }
}

label_values! {
    /// A label of twenty-two values.
    pub enum C = "c" {
        /// A value.
        V0 = "0",
        /// A value.
        V1 = "1",
        /// A value.
        V2 = "2",
        /// A value.
        V3 = "3",
        /// A value.
        V4 = "4",
        /// A value.
        V5 = "5",
        /// A value.
        V6 = "6",
        /// A value.
        V7 = "7",
        /// A value.
        V8 = "8",
        /// A value.
        V9 = "9",
        /// A value.
        V10 = "10",
        /// A value.
        V11 = "11",
        /// A value.
        V12 = "12",
        /// A value.
        V13 = "13",
        /// A value.
        V14 = "14",
        /// A value.
        V15 = "15",
        /// A value.
        V16 = "16",
        /// A value.
        V17 = "17",
        /// A value.
        V18 = "18",
        /// A value.
        V19 = "19",
        /// A value.
        V20 = "20",
        /// A value.
        V21 = "21",
    }
}

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: CounterFamily<(A, B, C)> = "desk_quotes_total",
    }
}

fn main() {}
