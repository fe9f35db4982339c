//! The files of `monitoring/` agree with each other, and the containers have what they should have and no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

const COMPOSE: &str = "docker-compose.monitoring.yml";

/// What compose is given after [`COMPOSE`] for more than one instance.
const SCALE_OUT: &str = "scale-out/docker-compose.scale-out.yml";

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring")
}

fn text(file: &str) -> String {
    let path = monitoring().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn services() -> BTreeMap<String, Value> {
    services_of(COMPOSE)
}

fn services_of(file: &str) -> BTreeMap<String, Value> {
    serde_json::from_value(yaml(file)["services"].clone()).expect("services by name")
}

/// The services of both files together; what the second one says of a service goes first.
fn scaled_out() -> BTreeMap<String, Value> {
    let mut services = services();
    for (name, changes) in services_of(SCALE_OUT) {
        let service = services.entry(name).or_default();
        let Value::Object(changes) = changes else { panic!("a service is a mapping") };
        if service.is_null() {
            *service = Value::Object(changes);
            continue;
        }
        for (key, change) in changes {
            service[key] = change;
        }
    }
    services
}

fn list<'a>(service: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    service[key].as_array().into_iter().flatten().map(|item| item.as_str().expect("a text"))
}

/// The variables `${NAME...}`, and those of an environment that only hands them on.
fn variables_of_compose() -> BTreeSet<String> {
    let text = text(COMPOSE);
    let replaced = text.split("${").skip(1).map(|rest| {
        rest.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
            .next()
            .unwrap()
            .to_owned()
    });
    let handed_on = services().into_values().flat_map(|service| {
        let environment = service["environment"].as_object().cloned().unwrap_or_default();
        environment.into_iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name)
    });
    replaced.chain(handed_on).collect()
}

#[test]
fn the_example_of_the_environment_explains_every_variable() {
    let explained: BTreeSet<String> = text(".env.example")
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("# ").split_once('=').map(|(name, _)| name.to_owned())
        })
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        // Compose itself reads it.
        .filter(|name| name != "COMPOSE_PROFILES")
        .collect();
    assert_eq!(explained, variables_of_compose());
}

/// Whether the tag begins with a version of two numbers or more: not `latest`, `3` or `v3`.
fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("latest", |(_, tag)| tag.trim_start_matches('v'));
    let numbers = tag.split(['.', '-']).take_while(|part| part.parse::<u32>().is_ok());
    numbers.count() >= 2
}

#[test]
fn no_container_has_more_rights_than_it_needs() {
    let built: BTreeSet<String> = services()
        .values()
        .filter(|service| !service["build"].is_null())
        .map(|service| service["image"].to_string())
        .collect();
    for (name, service) in scaled_out() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(list(&service, "cap_drop").collect::<Vec<_>>(), ["ALL"], "{name}");
        assert_eq!(
            list(&service, "security_opt").collect::<Vec<_>>(),
            ["no-new-privileges:true"],
            "{name}"
        );
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert!(service["mem_limit"].is_string(), "{name} has no limit of memory");
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name}");

        let docker_socket = list(&service, "volumes").any(|volume| volume.contains("docker.sock"));
        assert_eq!(docker_socket, name == "socket-proxy", "{name}");
        for volume in list(&service, "volumes").filter(|volume| volume.starts_with(['.', '/'])) {
            assert!(volume.ends_with(":ro"), "{name} can write to {volume}");
        }
        // The user and the health check of what is built here are in its Dockerfile.
        if !built.contains(&service["image"].to_string()) {
            let user = service["user"].as_str().unwrap_or_else(|| panic!("{name} has no user"));
            assert_eq!(user == "0" || user == "root", docker_socket, "{name} runs as {user}");
            assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
            let image = service["image"].as_str().expect("an image");
            assert!(is_pinned(image), "{name} is not pinned: {image}");
        }
    }
}

#[test]
fn only_this_host_reaches_the_ports() {
    let published: BTreeMap<u16, String> = scaled_out()
        .iter()
        .flat_map(|(name, service)| list(service, "ports").map(move |port| (name, port)))
        .map(|(name, port)| {
            let port = port
                .strip_prefix("127.0.0.1:")
                .unwrap_or_else(|| panic!("{name} publishes {port} to all"));
            let (host, container) = port.split_once(':').expect("two ports");
            assert_eq!(host, container, "{name}");
            (host.parse().expect("a port"), name.clone())
        })
        .collect();
    let expected = [
        (3000, "grafana"),
        (3100, "loki"),
        (8081, "backend"),
        (8428, "victoria-metrics"),
        (8880, "vmalert"),
        (9090, "prometheus"),
        (9093, "alertmanager"),
        (9100, "node-exporter"),
        (9121, "redis-exporter"),
        (9187, "postgres-exporter"),
    ];
    assert_eq!(published, expected.map(|(port, name)| (port, name.to_owned())).into());
}

#[test]
fn what_is_mounted_exists() {
    for (name, service) in services().into_iter().chain(services_of(SCALE_OUT)) {
        for volume in list(&service, "volumes").filter(|volume| volume.starts_with('.')) {
            let (file, _) = volume.split_once(':').expect("a place in the container");
            assert!(monitoring().join(file).exists(), "{name} mounts {file}, which is not there");
        }
    }
}

#[test]
fn prometheus_scrapes_what_runs() {
    let services = services();
    let prometheus = yaml("prometheus/prometheus.yml");
    let jobs = prometheus["scrape_configs"].as_array().expect("jobs");
    let alertmanagers = &prometheus["alerting"]["alertmanagers"];
    for configs in jobs.iter().chain(alertmanagers.as_array().expect("alertmanagers")) {
        for target in list(&configs["static_configs"][0], "targets") {
            let (host, _) = target.split_once(':').expect("a port");
            assert!(host == "localhost" || services.contains_key(host), "there is no {host}");
        }
    }
}

/// `ScrapeNearDeadline` reads `scrape_timeout_seconds`.
#[test]
fn the_deadline_of_a_scrape_is_recorded() {
    for services in [services(), scaled_out()] {
        let features: Vec<&str> = list(&services["prometheus"], "command")
            .filter_map(|argument| argument.strip_prefix("--enable-feature="))
            .flat_map(|features| features.split(','))
            .collect();
        assert!(features.contains(&"extra-scrape-metrics"), "{features:?}");
    }
    let alert = text("../alerts/meta.yml");
    assert!(alert.contains("scrape_timeout_seconds{job=\"backend\"}"));
}

/// The rules load in vmalert from 1.92 on, which is the first to know `keep_firing_for`.
#[test]
fn vmalert_knows_all_fields_of_the_rules() {
    let services = scaled_out();
    let image = services["vmalert"]["image"].as_str().expect("an image");
    let version = image.rsplit_once(":v1.").and_then(|(_, rest)| rest.split('.').next());
    let minor: u32 = version.and_then(|minor| minor.parse().ok()).expect("a version");
    assert!(minor >= 92, "{image}");
}

#[test]
fn the_agent_scrapes_and_writes_to_what_runs() {
    let services = scaled_out();
    let agent = yaml("scale-out/prometheus-agent.yml");
    let jobs = agent["scrape_configs"].as_array().expect("jobs");
    let targets = jobs.iter().flat_map(|job| list(&job["static_configs"][0], "targets"));
    let mut written = agent["remote_write"].as_array().expect("receivers").iter().map(|to| {
        let url = to["url"].as_str().and_then(|url| url.strip_prefix("http://"));
        url.expect("a URL")
    });
    for target in targets.chain(&mut written) {
        let (host, _) = target.split_once(':').expect("a port");
        assert!(host == "localhost" || services.contains_key(host), "there is no {host}");
    }
    // Its targets are the replicas, all of them.
    let backend = jobs.iter().find(|job| job["job_name"] == "backend").expect("the job");
    let scraped = list(&backend["static_configs"][0], "targets").count();
    let image = &services["backend"]["image"];
    assert_eq!(scraped, services.values().filter(|service| service["image"] == *image).count());
    // And it has the interval that Grafana knows.
    let prometheus = yaml("prometheus/prometheus.yml");
    let jobs = prometheus["scrape_configs"].as_array().expect("jobs");
    let alone = jobs.iter().find(|job| job["job_name"] == "backend").expect("the job");
    assert_eq!(backend["scrape_interval"], alone["scrape_interval"]);
}

#[test]
fn replicas_are_set_up_alike() {
    let services = scaled_out();
    let environment = |name: &str| {
        let mut environment = services[name]["environment"].clone();
        // The image has it as well.
        environment.as_object_mut().expect("a mapping").remove("BACKEND_LISTEN");
        environment
    };
    for replica in ["backend-2", "backend-3"] {
        assert_eq!(environment(replica), environment("backend"), "{replica}");
        for key in ["mem_limit", "stop_grace_period", "networks", "profiles", "image"] {
            assert_eq!(services[replica][key], services["backend"][key], "{replica}: {key}");
        }
    }
}

#[test]
fn grafana_knows_how_often_the_backend_is_scraped() {
    let prometheus = yaml("prometheus/prometheus.yml");
    let jobs = prometheus["scrape_configs"].as_array().expect("jobs");
    let backend = jobs.iter().find(|job| job["job_name"] == "backend").expect("the job");
    let sources = yaml("grafana/provisioning/datasources/backend.yml");
    let source = &sources["datasources"][0];
    assert_eq!(source["uid"], "prometheus");
    assert_eq!(source["jsonData"]["timeInterval"], backend["scrape_interval"]);
}

#[test]
fn dashboards_are_provisioned_from_where_they_are_mounted() {
    let provider = &yaml("grafana/provisioning/dashboards/backend.yml")["providers"][0];
    assert_eq!(provider["folder"], "Backend");
    let mount =
        format!("../dashboards:{}:ro", provider["options"]["path"].as_str().expect("a path"));
    assert!(list(&services()["grafana"], "volumes").any(|volume| volume == mount), "{mount}");
}

#[test]
fn both_log_agents_give_the_same_labels() {
    let promtail = yaml("promtail/promtail.yml");
    let rules = promtail["scrape_configs"][0]["relabel_configs"].as_array().expect("rules");
    let of_promtail: BTreeSet<&str> =
        rules.iter().filter_map(|rule| rule["target_label"].as_str()).collect();
    let alloy = text("alloy/config.alloy");
    let of_alloy: BTreeSet<&str> = alloy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("target_label"))
        .map(|value| value.trim_matches([' ', '=', '"']))
        .collect();
    assert_eq!(of_alloy, of_promtail);
    assert!(of_alloy.contains("compose_service"));
}

/// As `alloy fmt` writes it, which is not run here.
#[test]
fn the_configuration_of_alloy_is_indented_by_tabs() {
    let alloy = text("alloy/config.alloy");
    let spaces: Vec<&str> = alloy.lines().filter(|line| line.starts_with(' ')).collect();
    assert!(spaces.is_empty(), "{spaces:#?}");
    assert!(alloy.contains("\n\thost             = \"tcp://"), "{alloy}");
}

#[test]
fn loki_deletes_what_is_older_than_its_retention() {
    let loki = yaml("loki/loki.yml");
    assert_eq!(loki["compactor"]["retention_enabled"], true);
    assert_eq!(
        loki["compactor"]["delete_request_store"],
        loki["schema_config"]["configs"][0]["object_store"]
    );
    assert_eq!(
        loki["limits_config"]["retention_period"],
        loki["limits_config"]["max_query_lookback"]
    );
}
