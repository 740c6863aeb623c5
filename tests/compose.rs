//! `compose.yaml` and what belongs to it. No Docker here: docker-compose says what the file means,
//! and our services run as plain processes with exactly their commands and environment.

#![expect(clippy::unwrap_used, reason = "a test's own steps")]
#![expect(clippy::print_stdout, reason = "what is left out")]

#[path = "support/bolt.rs"]
mod bolt;
#[allow(dead_code, reason = "the other tests of the database take the rest")]
#[path = "postgres/database.rs"]
mod database;
#[path = "compose/file.rs"]
mod file;
#[allow(dead_code, reason = "the other tests of the graph take the rest")]
#[path = "graph/fixture.rs"]
mod fixture;
#[path = "compose/image.rs"]
mod image;
#[path = "consume/rabbit.rs"]
mod rabbit;
#[path = "compose/stack.rs"]
mod stack;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use discogs_extractor::model::Kind;
use discogs_extractor::sample::{Options, make};
use serde_json::{Value, json};
use support::broker::Client;
use support::broker::private::{Private, address_at};
use support::daemon::age;
use support::{Place, copy_folder, http};
use url::Url;

use database::sqlite_rows;
use file::{Compose, root};
use rabbit::{until, wait};
use stack::{Container, OURS, Stack, make_secrets};

/// The variables by which `tests/run` says where everything is.
const COMPOSE: &str = "DISCOGS_TEST_COMPOSE";
const BROKER: &str = "DISCOGS_TEST_AMQP";
const SERVER: &str = "DISCOGS_TEST_POSTGRES";
const GRAPH: &str = "DISCOGS_TEST_BOLT";

const ALL: &str = "✅ Completed file types: ['artists', 'labels', 'masters', 'releases']";

const CONSUMERS_CHECK: &str =
    r#"docker compose logs NAME | grep -E "(File processing complete|Canceling consumer)""#;

/// The command that the file's head tells everybody to run.
fn documented_check() -> String {
    let text = fs::read_to_string(root().join("compose.yaml")).unwrap();
    let mut told = text.lines().filter_map(|line| line.strip_prefix("#   "));
    told.find(|line| line.contains(" logs ")).unwrap().to_owned()
}

/// Puts dumps into the volume, as somebody would who has them already.
fn lay(stack: &Stack, releases: u64) {
    let dumps = stack.place.path("dumps");
    make(&Options::new(releases, 3, "20260101".parse().unwrap()), &dumps).unwrap();
    let volume = stack.volume("discogs_data");
    copy_folder(&dumps, &volume);
    for file in fs::read_dir(volume).unwrap() {
        age(&file.unwrap().path());
    }
}

/// Waits until all has arrived and everybody has said so, and looks at what they said, at the
/// tables and at the graph.
#[track_caller]
fn all_arrives(stack: &Stack, [extractor, tables, graph]: &mut [Container; 3]) {
    extractor.says(ALL, 1);
    for consumer in [tables, graph] {
        consumer.says("🎉 File processing complete for ", 4);
    }

    let found = stack.documented("extractor-rust", &documented_check());
    assert!(found.contains(ALL) && !found.contains("Stalled extractors"), "{found}");
    for consumer in ["tableinator", "graphinator"] {
        let found = stack.documented(consumer, &CONSUMERS_CHECK.replace("NAME", consumer));
        for kind in Kind::ALL {
            let line = format!("🎉 File processing complete for {kind}!");
            assert_eq!(found.matches(&line).count(), 1, "{found}");
        }
    }

    stack.place.extract("sqlite:plain.db").ends(0, &[]);
    for (kind, label) in Kind::ALL.into_iter().zip(["Artist", "Label", "Master", "Release"]) {
        let expected = sqlite_rows(&stack.place.path("plain.db"), kind.name());
        assert!(!expected.is_empty() && stack.database.rows(kind.name()) == expected, "{kind}");
        let nodes = format!("MATCH (n:{label}) WHERE n.sha256 IS NOT NULL RETURN count(n) AS n");
        let count = format!(r#"{{"n":{}}}"#, expected.len());
        assert_eq!(wait(stack.graph.texts(&nodes)), [count], "{label}");
    }
}

#[test]
fn these_services_do_what_the_documented_check_looks_for() {
    let Some(stack) = Stack::new(COMPOSE, BROKER, GRAPH) else { return };
    lay(&stack, 200);
    let names = OURS.map(|(name, _)| name);
    let mut containers = names.map(|name| stack.up(name));
    all_arrives(&stack, &mut containers);

    for name in names {
        until("the health check is content", || stack.is_healthy(name));
    }
    let state = stack.exec("extractor-rust", &["state", "check"]);
    assert_eq!(state.status.code(), Some(0), "{state:?}");
    let token = fs::read_to_string(stack.place.path("secrets/trigger_token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let address = stack.address("extractor-rust");
    assert_eq!(http::trigger(address, &[], "").status, 401);
    assert_eq!(http::trigger(address, &[("Authorization", &bearer)], "").status, 202);
    // The root of a container is read-only.
    assert_eq!(fs::read_dir(stack.place.path("root")).unwrap().count(), 0);

    for container in containers {
        container.stops();
    }
    for name in names {
        assert!(!stack.is_healthy(name), "{name} is gone");
    }
}

#[test]
fn an_extractor_that_is_killed_goes_on_and_never_calls_anything_stalled() {
    let Some(stack) = Stack::new(COMPOSE, BROKER, GRAPH) else { return };
    lay(&stack, 3_000);
    // One message at a time, so that the kill does not come too late.
    let slow = [("DISCOGS_WINDOW", "1")];
    let mut containers = OURS.map(|(name, _)| match name {
        "extractor-rust" => stack.up_with(name, &slow),
        _ => stack.up(name),
    });

    containers[0].says("health and metrics are served", 1);
    let address = stack.address("extractor-rust");
    until("it is inside the releases", || {
        let state = http::get(address, "/api/state").json();
        let files = state["files"].as_array();
        let found = files.into_iter().flatten().find(|file| file["type"] == "releases");
        found.is_some_and(|file| file["records"].as_u64() > Some(0))
    });
    let [extractor, tables, graph] = containers;
    extractor.kill();
    let state = stack.exec("extractor-rust", &["state", "check"]);
    assert_eq!(state.status.code(), Some(3), "{state:?}");

    let mut containers = [stack.up("extractor-rust"), tables, graph];
    all_arrives(&stack, &mut containers);
    for container in containers {
        container.stops();
    }
}

#[test]
fn the_broker_takes_its_user_and_its_settings_from_the_mounted_files() {
    let place = Place::new();
    let secrets = place.path("secrets");
    make_secrets(&secrets);
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let settings = read(root().join("packaging/rabbitmq/discogs.conf"));
    let user = read(secrets.join("rabbitmq_user.conf"));
    let password = read(secrets.join("rabbitmq_password"));
    let broker = Private::of_user(
        &format!("{settings}\n{user}"),
        &format!("discogsography:{}", password.trim()),
    );
    let guest = Client::try_connect(&address_at(broker.port()));
    assert!(guest.is_err(), "guest has no business there");
    let size = broker.ctl(&["environment"]);
    assert!(size.contains("{max_message_size,134217728}"), "{size}");
}

#[test]
fn secrets_are_made_once_and_only_their_owner_comes_near() {
    let place = Place::new();
    let folder = place.path("secrets");
    make_secrets(&folder);
    let all = || {
        let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        files
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    let first = all();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert!(first.keys().all(|path| mode(path) == 0o444));
    make_secrets(&folder);
    assert_eq!(all(), first, "what is there stays");

    let compose = Compose::read(COMPOSE, &[]);
    for secret in compose.0["secrets"].as_object().unwrap().values() {
        let file = Path::new(secret["file"].as_str().unwrap());
        assert_eq!(file.parent().unwrap(), root().join("secrets"));
        assert!(first.contains_key(&folder.join(file.file_name().unwrap())), "{file:?}");
    }
}

#[test]
fn every_service_is_kept_small_and_watched() {
    let compose = Compose::read(COMPOSE, &[]);
    let services = compose.services();
    let names: BTreeSet<_> = services.iter().map(|service| service.name).collect();
    let pipeline =
        ["extractor-rust", "graphinator", "neo4j", "postgres", "rabbitmq", "tableinator"];
    assert!(pipeline.iter().all(|name| names.contains(name)), "{names:?}");
    for service in &services {
        let (name, says) = (service.name, service.says);
        assert!(
            !service.health_check().is_empty() && says["stop_grace_period"].is_string(),
            "{name}"
        );
        assert_eq!(says["restart"], "unless-stopped", "{name}");
        assert_eq!(says["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(says["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        assert!(says["privileged"].is_null() && says["network_mode"].is_null(), "{name}");
        let published = service.published();
        assert!(published.iter().all(|port| port.starts_with("127.0.0.1:")), "{published:?}");
        assert_eq!(says["profiles"].is_null(), pipeline.contains(&name), "{name}");
        for (variable, value) in service.environment() {
            let secret = ["PASSWORD", "AUTH", "TOKEN"].iter().any(|word| variable.contains(word));
            assert!(!secret || value.starts_with("/run/secrets/"), "{variable} of {name}");
        }
        for mount in service.mounts() {
            let path = Path::new(&mount.source);
            let is_there = match path.strip_prefix(root()) {
                Ok(inside) => inside.starts_with("secrets") || path.exists(),
                Err(_) => compose.0["volumes"].get(&mount.source).is_some(),
            };
            assert!(is_there, "{mount:?} of {name}");
        }
        let needs = says["depends_on"].as_object().into_iter().flatten();
        for (needed, how) in needs {
            assert_eq!(how["condition"], "service_healthy", "{needed} for {name}");
        }
    }
}

#[test]
fn monitoring_asks_services_that_there_are() {
    let compose = Compose::read(COMPOSE, &[]);
    let packaging = root().join("packaging");
    let yaml = |path: &str| {
        let text = fs::read_to_string(packaging.join(path)).unwrap();
        serde_saphyr::from_str::<Value>(&text).unwrap()
    };
    let mut asked = BTreeSet::new();
    for job in yaml("prometheus/prometheus.yaml")["scrape_configs"].as_array().unwrap() {
        let targets = job["static_configs"][0]["targets"].as_array().unwrap();
        asked.extend(targets.iter().map(|target| target.as_str().unwrap().to_owned()));
    }
    for (name, port) in OURS {
        assert!(asked.contains(&format!("{name}:{port}")), "{name} is not asked: {asked:?}");
    }
    let sources = yaml("grafana/provisioning/datasources/prometheus.yaml");
    let source = Url::parse(sources["datasources"][0]["url"].as_str().unwrap()).unwrap();
    asked.insert(source.host_str().unwrap().to_owned());
    for address in asked {
        let name = address.split(':').next().unwrap();
        assert!(compose.services().iter().any(|service| service.name == name), "{address}");
    }
    let boards = yaml("grafana/provisioning/dashboards/discogs.yaml");
    let folder = Path::new(boards["providers"][0]["options"]["path"].as_str().unwrap());
    let mounts = compose.service("grafana").mounts();
    let shown = mounts.iter().find(|mount| mount.source.ends_with("dashboard.json")).unwrap();
    assert_eq!(Path::new(&shown.target).parent().unwrap(), folder);
}

#[test]
fn the_image_is_nobodys_root_and_copies_what_there_is() {
    assert_eq!(image::says("USER"), "1000:1000");
    assert_eq!(image::says("STOPSIGNAL"), "SIGTERM");
    let sent = fs::read_to_string(root().join(".dockerignore")).unwrap();
    for path in image::copied() {
        assert!(root().join(&path).exists(), "{path}");
        assert!(sent.lines().any(|line| line == format!("!{path}")), "{path} is kept back");
    }
    // A new volume takes its owner over from the folder in the image.
    let made = image::says("RUN");
    let made: BTreeSet<_> =
        made.split("install -d -o 1000 -g 1000").nth(1).unwrap().split_whitespace().collect();
    let compose = Compose::read(COMPOSE, &[]);
    for (name, _) in OURS {
        for mount in compose.service(name).mounts() {
            let target = mount.target.as_str();
            assert!(target.starts_with("/run/secrets/") || made.contains(target), "{mount:?}");
        }
    }
}
