//! A proxy that asks for one format, so that a Prometheus which prefers another one can be given it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    http,
    server::{Answer, Server},
};

/// Passes requests on with another `Accept`.
pub(crate) struct Proxy {
    server: Server,
    content_type: Arc<Mutex<Option<String>>>,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr, accept: &'static str) -> Self {
        Self::asking(upstream, Some(accept))
    }

    /// Passes requests on with the `Accept` that they have.
    pub(crate) fn passing(upstream: SocketAddr) -> Self {
        Self::asking(upstream, None)
    }

    fn asking(upstream: SocketAddr, accept: Option<&'static str>) -> Self {
        let content_type = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&content_type);
        let server = Server::start(move |head| {
            let target = head.split(' ').nth(1).unwrap_or("/");
            let accept = accept.or(http::header(head, "accept")).unwrap_or_default();
            match http::request(upstream, "GET", target, &[("Accept", accept)]) {
                Ok(response) => {
                    let content_type = response.header("content-type").unwrap_or("").to_owned();
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(content_type.clone());
                    Answer { status: response.status, content_type, body: response.body }
                }
                Err(error) => Answer {
                    status: 502,
                    content_type: "text/plain".to_owned(),
                    body: error.to_string().into(),
                },
            }
        });
        Self { server, content_type }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The content type of the last answer that was passed back.
    pub(crate) fn content_type(&self) -> Option<String> {
        self.content_type.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
