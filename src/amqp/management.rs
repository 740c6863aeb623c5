//! What the broker's management plugin tells beyond AMQP: what is bound, and its version. It may
//! be missing, closed to our user, or elsewhere; then nothing is known.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Broker;

/// The plugin's own port.
const PORT: u16 = 15_672;

/// How long it may take to answer: it is looked for where it may not be.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most bytes of an answer that are read.
const ANSWER: usize = 4 << 20;

/// The plugin, as far as it answers.
pub(super) struct Management<'a> {
    client: Client,
    root: Url,
    broker: &'a Broker,
}

#[derive(Deserialize)]
struct Overview {
    rabbitmq_version: String,
}

#[derive(Deserialize)]
struct Binding {
    destination: String,
}

impl<'a> Management<'a> {
    /// The plugin at `root`, else where it usually is; nothing if that cannot be asked: our password
    /// goes nowhere without TLS that it does not go already.
    pub(super) fn of(broker: &'a Broker, root: Option<&Url>) -> Option<Management<'a>> {
        let root = root.cloned().or_else(|| broker.beside(PORT))?;
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
        Some(Management { client, root, broker })
    }

    /// The broker's version.
    pub(super) async fn version(&self) -> Option<String> {
        let overview: Overview = self.get(&["overview"]).await?;
        Some(overview.rabbitmq_version)
    }

    /// What an exchange hands its messages to; nothing if it is not there, too.
    pub(super) async fn bound(&self, exchange: &str) -> Option<BTreeSet<String>> {
        let path = ["exchanges", self.broker.vhost(), exchange, "bindings", "source"];
        let bindings: Vec<Binding> = self.get(&path).await?;
        Some(bindings.into_iter().map(|binding| binding.destination).collect())
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Option<T> {
        let mut url = self.root.clone();
        url.path_segments_mut().ok()?.pop_if_empty().push("api").extend(path);
        let (user, password) = self.broker.credentials();
        let asked = self.client.get(url).basic_auth(user, Some(password)).send().await;
        let mut answer = asked.ok()?.error_for_status().ok()?;
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.ok()? {
            text.extend_from_slice(&part);
            if text.len() > ANSWER {
                return None;
            }
        }
        serde_json::from_slice(&text).ok()
    }
}
