//! Labels that several subsystems have.

use http::{Method, StatusCode};

use crate::{Label, LabelSet, Labels, ValueSet, storage::intern::Nest};

label_values! {
    /// The method of a request.
    pub enum HttpMethod = "method" {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// DELETE.
        Delete = "DELETE",
        /// CONNECT.
        Connect = "CONNECT",
        /// OPTIONS.
        Options = "OPTIONS",
        /// TRACE.
        Trace = "TRACE",
        /// PATCH.
        Patch = "PATCH",
        /// Any method that is not a standard one.
        Other = "OTHER",
    }
}

impl HttpMethod {
    /// The label where series appear as they are used.
    pub(crate) const LABEL: Label = {
        const LABELS: &Labels = &HttpMethod::LIST;
        let Label { name, values } = LABELS.as_slice()[0];
        Label::new(name, ValueSet::OnUse(values.known()))
    };
}

impl HttpMethod {
    /// How the methods hang below an endpoint or an upstream.
    pub(crate) const fn nest(first: bool) -> Nest {
        let other = Self::Other;
        Nest {
            label: "method",
            first,
            other: (other as u16, other.as_str()),
            from_zero: None,
            values: Self::ALL.len(),
            for_each: 3,
        }
    }
}

/// How a request was answered, as the label `status`: by a status, or as one of two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer(u16);

impl Answer {
    /// There was none.
    pub(crate) const ERROR: Self = Self(0);
    /// A status that the cap leaves no room for.
    const OTHER: Self = Self(1);
    /// The values that are no statuses, for the catalog.
    pub(crate) const WORDS: &'static [&'static str] = &["error", "other"];

    /// How the answers of the service hang below a method.
    ///
    /// A series that appears with its first event hides it from `rate` and `increase`, so failures stand at zero from the
    /// first request on.
    pub(crate) const OF_SERVER: Nest = Self::nest(Self(500), "500");
    /// How the answers of an upstream hang below a method, likewise.
    pub(crate) const OF_CLIENT: Nest = Self::nest(Self::ERROR, "error");

    const fn nest(failure: Self, text: &'static str) -> Nest {
        Nest {
            label: "status",
            first: false,
            other: (Self::OTHER.position(), "other"),
            from_zero: Some((failure.position(), text)),
            values: Self::WORDS.len() + Self::STATUSES,
            for_each: 10,
        }
    }

    /// How many statuses there are: 100 to 999.
    const STATUSES: usize = 900;
    /// The answers whose series lie nearest, the most frequent ones first.
    const FREQUENT: [u16; 16] =
        [200, 201, 204, 400, 401, 404, 500, 0, 403, 304, 422, 429, 499, 502, 503, 1];

    /// The place of each answer among those of a method.
    #[expect(clippy::cast_possible_truncation, reason = "they are some hundreds")]
    const POSITIONS: [u16; 1_024] = {
        let mut positions = [0; 1_024];
        let mut number = 100;
        while number < 100 + Self::STATUSES {
            positions[number] = (Self::FREQUENT.len() + number - 100) as u16;
            number += 1;
        }
        let mut position = 0;
        while position < Self::FREQUENT.len() {
            positions[Self::FREQUENT[position] as usize] = position as u16;
            position += 1;
        }
        positions
    };

    /// The place among the answers of a method.
    #[inline]
    pub(crate) const fn position(self) -> u16 {
        const POSITIONS: &[u16; 1_024] = &Answer::POSITIONS;
        // A status has three digits, so this changes none; it spares the check of the bound.
        POSITIONS[self.0 as usize % POSITIONS.len()]
    }

    /// The value of the label.
    pub(crate) fn text(self) -> String {
        match self {
            Self::ERROR => "error".to_owned(),
            Self::OTHER => "other".to_owned(),
            Self(status) => status.to_string(),
        }
    }
}

impl From<StatusCode> for Answer {
    #[inline]
    fn from(status: StatusCode) -> Self {
        Self(status.as_u16())
    }
}

impl From<&Method> for HttpMethod {
    fn from(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::DELETE => Self::Delete,
            Method::CONNECT => Self::Connect,
            Method::OPTIONS => Self::Options,
            Method::TRACE => Self::Trace,
            Method::PATCH => Self::Patch,
            _ => Self::Other,
        }
    }
}
