//! The cases: each measures one row of a table for one library in one use.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Sample};

/// How a library is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// The least that the machine could do for the row.
    Floor,
    /// As its documentation shows first: labels at each event.
    Idiomatic,
    /// As fast as it goes and is still exact: handles kept by hand.
    Fastest,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor",
            Self::Idiomatic => "idiomatic",
            Self::Fastest => "fastest",
        })
    }
}

pub struct Case {
    pub row: String,
    pub subject: &'static str,
    pub usage: Use,
    pub run: Box<dyn Fn(Bench) -> Sample>,
}

impl Case {
    pub fn new(
        row: impl Into<String>,
        subject: &'static str,
        usage: Use,
        run: impl Fn(Bench) -> Sample + 'static,
    ) -> Self {
        Self { row: row.into(), subject, usage, run: Box::new(run) }
    }

    /// As it is asked for on the command line.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.row, self.subject, self.usage)
    }
}

/// Every case of this build.
pub fn all() -> Vec<Case> {
    let mut cases = crate::floor::cases();
    cases.extend(crate::ours::cases());
    cases.extend(crate::layers::cases());
    #[cfg(feature = "peers")]
    cases.extend(crate::libraries::cases());
    cases
}
