//! The `events` subscription: what changed, at most four times a second, and never a queue for a slow reader.

use super::Session;
use jsonrpsee::{PendingSubscriptionSink, core::SubscriptionResult};
use proto::rpc::session::Events;
use std::{sync::Arc, time::Duration};

/// The shortest time between two items.
const PACE: Duration = Duration::from_millis(250);

impl Session {
    /// Serves one subscriber until it goes. Each item is made when the last one has left, from what is then so: whoever
    /// reads slowly skips states and misses none.
    pub(super) async fn serve_events(&self, pending: PendingSubscriptionSink) -> SubscriptionResult {
        let sink = pending.accept().await?;
        let mut since = None;
        let mut read = 0;
        loop {
            let changes = self.shared.registry.since(since);
            let (pushed, lines) = self.log.ring.since(read);
            read = pushed;
            if since.is_none() || since != Some(changes.revision) || !lines.is_empty() {
                let item = Events {
                    revision: changes.revision,
                    changed: changes.changed.into_iter().map(Arc::unwrap_or_clone).collect(),
                    removed: changes.removed,
                    log: lines,
                };
                since = Some(item.revision);
                sink.send(serde_json::value::to_raw_value(&item)?).await?;
            }
            tokio::select! {
                () = sink.closed() => return Ok(()),
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }
}
