//! The exporter behind hyper, as a service has it.

use std::net::SocketAddr;

use ::http::Request;
use backend_metrics::{Exporter, Metrics};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

/// Exposes an instance until it is dropped.
pub(crate) struct Exposed {
    address: SocketAddr,
    // Dropped, it ends its tasks.
    _runtime: Runtime,
}

impl Exposed {
    pub(crate) fn start(metrics: Metrics) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("the loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let exporter = Exporter::new(metrics);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let exporter = exporter.clone();
                let service =
                    service_fn(move |request: Request<Incoming>| exporter.respond(&request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, _runtime: runtime }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
