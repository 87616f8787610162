//! Where log lines go and which ones.

use std::{env, fmt, fs, os::unix::fs::MetadataExt as _};

use tracing::{Event, Subscriber, field};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

/// Environment variable with a filter in the syntax of `tracing-subscriber`, e.g. `info,r1_net=debug`.
pub const LOG_VARIABLE: &str = "R1_LOG";
/// What is logged when the variable is unset: the engines below us report their own routine at `info`.
const DEFAULT_FILTER: &str = "info,arc_malachitebft=warn,arc_malachitebft_app=warn,arc_malachitebft_app_channel=warn,\
     arc_malachitebft_core_consensus=warn,arc_malachitebft_discovery=error,arc_malachitebft_engine=error,\
     arc_malachitebft_network=warn,arc_malachitebft_sync=warn,libp2p=warn,libp2p_gossipsub=error,zbus=warn";
/// Who says what is dropped below.
const CHATTERER: &str = "arc_malachitebft_network";
/// What the engine logs at `error` although nothing is wrong: it speaks while nobody listens, which one oracle alone
/// always does, and each of five trials to reach a peer that is down (the last is reported once more elsewhere).
const CHATTER: [&str; 2] = ["NoPeersSubscribedToTopic", "Error dialing peer"];

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is malformed.
    #[error("{LOG_VARIABLE}={text:?} is not a log filter such as \"info,r1_net=debug\": {reason}")]
    Filter {
        /// The variable's value.
        text: String,
        /// What the parser said.
        reason: String,
    },
    /// Something in this process logs already.
    #[error("logging was already started in this process")]
    Twice,
}

/// Starts logging for the whole process: to the journal if stderr is connected to it, else as text to stderr.
///
/// # Errors
/// [`LogError`] if [`LOG_VARIABLE`] is malformed or logging was started before.
pub fn init() -> Result<(), LogError> {
    let filter = filter_of(env::var(LOG_VARIABLE).ok())?;
    let journal = stderr_is_journal()
        .then(tracing_journald::layer)
        .and_then(Result::ok);
    let text = || {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false)
    };
    let text = journal.is_none().then(text);
    Registry::default()
        .with(filter)
        .with(Quiet)
        .with(journal)
        .with(text)
        .try_init()
        .map_err(|_| LogError::Twice)
}

fn filter_of(variable: Option<String>) -> Result<EnvFilter, LogError> {
    let text = variable
        .filter(|text| !text.trim().is_empty())
        .unwrap_or_else(|| DEFAULT_FILTER.into());
    EnvFilter::builder()
        .parse(&text)
        .map_err(|error| LogError::Filter {
            text,
            reason: error.to_string(),
        })
}

/// True if systemd has connected stderr to the journal: `JOURNAL_STREAM` is its `device:inode` (systemd.exec(5)).
/// The variable alone does not tell, since children with a redirected stderr inherit it.
fn stderr_is_journal() -> bool {
    let (Ok(stream), Ok(stderr)) = (env::var("JOURNAL_STREAM"), fs::metadata("/proc/self/fd/2")) else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// Drops messages that say nothing.
struct Quiet;

impl<S: Subscriber> Layer<S> for Quiet {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let mut found = Found(false);
        if event.metadata().target() == CHATTERER {
            event.record(&mut found);
        }
        !found.0
    }
}

struct Found(bool);

impl field::Visit for Found {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let text = format!("{value:?}");
            self.0 |= CHATTER.iter().any(|chatter| text.contains(chatter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_filter_and_a_good_one_parse_and_a_bad_one_is_named() {
        assert!(filter_of(None).is_ok());
        assert!(filter_of(Some("debug,r1_net=trace".into())).is_ok());
        let error = filter_of(Some("r1_net=loud".into())).err().unwrap().to_string();
        assert!(error.contains("r1_net=loud"), "{error}");
    }

    #[test]
    fn only_chatter_is_dropped() {
        use std::sync::{Arc, Mutex};
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let subscriber = Registry::default()
            .with(filter_of(None).unwrap())
            .with(Quiet)
            .with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "arc_malachitebft_network", "Error publishing message: NoPeersSubscribedToTopic");
            tracing::error!(target: "arc_malachitebft_network", "Error listening on a port");
            tracing::error!(target: "arc_malachitebft_network", "Error dialing peer: refused");
            tracing::info!("NoPeersSubscribedToTopic of our own");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(
            !text.contains("publishing") && !text.contains("dialing"),
            "{text}"
        );
        assert!(
            text.contains("listening") && text.contains("of our own"),
            "{text}"
        );
    }
}
