//! Labels that several subsystems have.

use http::Method;

use crate::{Label, LabelSet, Labels, ValueSet};

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
