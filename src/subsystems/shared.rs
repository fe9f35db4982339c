//! Labels that several subsystems have.

use http::Method;

use crate::{Label, ValueSet};

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
    pub(crate) const LABEL: Label = {
        const VALUES: &[&str] = &[
            "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "OTHER",
        ];
        Label::new("method", ValueSet::OnUse(VALUES))
    };
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

#[cfg(test)]
mod tests {
    use super::HttpMethod;
    use crate::ValueSet;

    #[test]
    fn the_label_lists_the_methods_of_the_enum() {
        let values: Vec<_> = HttpMethod::ALL.iter().map(|method| method.as_str()).collect();
        assert_eq!(HttpMethod::LABEL.values, ValueSet::OnUse(values.leak()));
    }
}
