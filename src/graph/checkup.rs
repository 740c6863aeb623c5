//! A look at a graph that changes nothing in it.

use std::time::Duration;

use neo4rs::Query;
use tokio::time::timeout;

use super::fault::{Fault, GraphError};
use super::link::{Address, Link};
use crate::model::Finding;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at a graph: whether it answers, and lets nodes be made. The one that is, is taken back.
pub async fn checkup(address: &Address) -> Finding {
    match timeout(PATIENCE, look(address)).await {
        Ok(Ok(())) => Finding::ok("graph", format!("{address} answers, and can be written")),
        Ok(Err(error)) => {
            let hint = match error.fault {
                Fault::Passing => "start it, or correct host and port in its URL or NEO4J_*",
                Fault::Record | Fault::Database => {
                    "look at user, password and database in its URL or NEO4J_*, and at the user's rights"
                }
            };
            Finding::failure("graph", format!("{address}: {error}"), hint)
        }
        Err(_) => Finding::failure(
            "graph",
            format!("{address} does not answer within {} s", PATIENCE.as_secs()),
            "start it, or correct host and port in its URL or NEO4J_*",
        ),
    }
}

async fn look(address: &Address) -> Result<(), GraphError> {
    let mut tx = Link::new(address)?.begin().await?;
    tx.run(Query::new("CREATE (:ExtractorJob)".to_owned())).await?;
    tx.rollback().await
}
