//! Small ones.

mod hosts {
    //! Hosts are equal in upper and lower case.

    use std::convert::Infallible;

    use backend_metrics::{Metrics, middleware::ClientLayer};
    use http::{Request, Response};
    use tower::{ServiceBuilder, ServiceExt as _, service_fn};

    /// The upstreams that requests for these targets count under, and how many do.
    async fn upstreams(targets: &[&str]) -> Vec<String> {
        let metrics = Metrics::new();
        let client = ServiceBuilder::new()
            .layer(ClientLayer::by_host(metrics))
            .service(service_fn(async |_| Ok::<_, Infallible>(Response::new(String::new()))));
        for target in targets {
            let request = Request::get(*target).body(String::new()).unwrap();
            drop(client.clone().oneshot(request).await);
        }
        let text = metrics.to_text();
        let counted = text.lines().filter_map(|line| {
            let (_, rest) =
                line.strip_prefix("http_client_requests_total{")?.split_once("upstream=\"")?;
            let (upstream, rest) = rest.split_once('"')?;
            let (_, count) = rest.split_once("status=\"200\"} ")?;
            Some(format!("{upstream} {count}"))
        });
        counted.collect()
    }

    #[tokio::test]
    async fn a_host_is_one_upstream_however_it_is_written() {
        let same = [
            "http://localhost/a",
            "http://LOCALHOST/b",
            "http://Localhost:8080/c",
            "https://localhost./d",
            "http://LocalHost.:443/e",
            "http://user@localhost/f",
        ];
        assert_eq!(upstreams(&same).await, ["localhost 6"]);
        assert_eq!(
            upstreams(&["http://[2001:DB8::1]/", "http://[2001:db8::1]:80/"]).await,
            ["[2001:db8::1] 2"]
        );
        assert_eq!(upstreams(&["/orders", "*", "http://./"]).await, ["unknown 3"]);
    }
}

mod accept {
    //! Q-values are read as leniently as by Go.

    use backend_metrics::Format;
    use http::{HeaderMap, HeaderValue, header::ACCEPT};

    #[test]
    fn a_q_value_needs_no_digit_before_or_after_its_point() {
        let format = |accept: &str| {
            let value = HeaderValue::from_str(accept).unwrap();
            Format::negotiate(&HeaderMap::from_iter([(ACCEPT, value)]))
        };
        for quality in [
            "q=.5",
            "q=0.5",
            "q=00.5",
            "q=1.",
            "q=1.0000",
            "Q=.5",
            "q = .5",
            "q=\".5\"",
            "q=01",
            "q=.4000001",
        ] {
            let accept = format!("text/plain;q=0.3,application/openmetrics-text;{quality}");
            assert_eq!(format(&accept), Format::OpenMetrics, "{accept}");
        }
        for quality in
            ["q=.", "q=", "q=.0", "q=0.", "q=1.1", "q=1.0001", "q=.5.5", "q=-.5", "q=.2", "q=5e-1"]
        {
            let accept = format!("text/plain;q=0.3,application/openmetrics-text;{quality}");
            assert_eq!(format(&accept), Format::Text, "{accept}");
        }
    }
}
